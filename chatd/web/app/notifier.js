// Telling of what has come while one looks elsewhere: a notification of the browser, a sound, the number in the title.

import { chosen } from './presence.js'
import { unique } from './ids.js'
import { keep, kept } from './kept.js'
import { preview } from './preview.js'

const SETTINGS = 'chatd.notify'

// { notifications, sound }: what the user wants on this device.
export function wanted() {
  return { notifications: false, sound: true, ...kept(SETTINGS, {}) }
}

export function want(settings) {
  keep(SETTINGS, { ...wanted(), ...settings })
}

// Ask the browser for leave. Whether it was given.
export async function allowed() {
  return 'Notification' in globalThis && await Notification.requestPermission() === 'granted'
}

const BETWEEN = 1000 // ms from one sound to the next: what comes together sounds once
const ANSWER = 150 // ms within which another tab says that it shows the conversation

export class Notifier {
  #audio = null
  #rang = 0
  #asked = new Map() // what other tabs were asked → what to do when one says yes

  constructor(app) {
    this.app = app
    app.model.on('arrived', (news) => this.#tell(news))
    this.tabs = new BroadcastChannel(`chatd-${app.model.me.user_id}`)
    this.tabs.addEventListener('message', ({ data }) => this.#hear(data))
    app.stopped.addEventListener('abort', () => this.tabs.close())
    app.model.on('conversations', () => this.#count())
    navigator.serviceWorker?.addEventListener('message', ({ data }) => app.router.go(data.path), { signal: app.stopped })
  }

  #isLookedAt(id) {
    return document.hasFocus() && this.app.router.place.params.id === String(id)
  }

  // Whether another tab shows this conversation to somebody.
  #isLookedAtElsewhere(id) {
    const question = unique()
    return new Promise((resolve) => {
      this.#asked.set(question, resolve)
      this.tabs.postMessage({ question, id })
      setTimeout(() => { this.#asked.delete(question); resolve(false) }, ANSWER)
    })
  }

  #hear({ question, id, answer }) {
    if (answer !== undefined) this.#asked.get(answer)?.(true)
    else if (this.#isLookedAt(id)) this.tabs.postMessage({ answer: question })
  }

  async #tell({ conversation, message }) {
    const { model } = this.app
    const mentioned = message.mentions_all || message.mentions.some(({ user_id }) => user_id === model.me.user_id)
    if (this.#isLookedAt(conversation.id) || (conversation.silent && !mentioned) || chosen(model.me).status === 'dnd') return
    if (await this.#isLookedAtElsewhere(conversation.id)) return
    const { notifications, sound } = wanted()
    if (sound) this.#ring()
    if (!notifications || document.hasFocus() || !('Notification' in globalThis) || Notification.permission !== 'granted') return
    const from = model.nameOf(message.from_user_id, message.from_username)
    const title = conversation.kind === 'group' ? `${from} · ${conversation.title}` : from
    const path = `c/${conversation.id}`
    this.#show(title, { body: preview(message), tag: `chatd-${conversation.id}`, icon: '/web/icon.svg', data: { path } })
  }

  // By the worker, where there is one: phones allow no other way.
  async #show(title, options) {
    const worker = await navigator.serviceWorker?.getRegistration()
    if (worker?.active) {
      await worker.showNotification(title, options)
    } else {
      const shown = new Notification(title, options)
      shown.addEventListener('click', () => {
        focus()
        this.app.router.go(options.data.path)
        shown.close()
      })
    }
  }

  // Two soft notes, made here.
  #ring() {
    if (navigator.userActivation && !navigator.userActivation.hasBeenActive) return // the browser allows no sound yet
    if (this.#rang + BETWEEN > performance.now()) return
    this.#rang = performance.now()
    this.#audio ??= new AudioContext()
    const { currentTime: now, destination } = this.#audio
    for (const [frequency, at] of [[660, 0], [880, 0.09]]) {
      const tone = new OscillatorNode(this.#audio, { frequency })
      const volume = new GainNode(this.#audio, { gain: 0 })
      volume.gain.setValueAtTime(0, now + at)
      volume.gain.linearRampToValueAtTime(0.08, now + at + 0.01)
      volume.gain.exponentialRampToValueAtTime(0.0001, now + at + 0.25)
      tone.connect(volume).connect(destination)
      tone.start(now + at)
      tone.stop(now + at + 0.3)
    }
  }

  #count() {
    const unread = [...this.app.model.conversations.values()].filter((one) => !one.silent).reduce((sum, one) => sum + one.unread_count, 0)
    document.title = unread > 0 ? `(${unread}) chatd` : 'chatd'
    if (unread > 0) navigator.setAppBadge?.(unread).catch(() => {})
    else navigator.clearAppBadge?.().catch(() => {})
  }
}
