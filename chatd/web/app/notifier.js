// Telling of what has come while one looks elsewhere: a notification of the browser, a sound, the number in the title.

import { chosen } from './presence.js'
import { preview } from './preview.js'

const SETTINGS = 'chatd.notify'

// { notifications, sound }: what the user wants on this device.
export function wanted() {
  return { notifications: false, sound: true, ...JSON.parse(localStorage.getItem(SETTINGS) ?? '{}') }
}

export function want(settings) {
  localStorage.setItem(SETTINGS, JSON.stringify({ ...wanted(), ...settings }))
}

// Ask the browser for leave. Whether it was given.
export async function allowed() {
  return 'Notification' in globalThis && await Notification.requestPermission() === 'granted'
}

export class Notifier {
  #audio = null

  constructor(app) {
    this.app = app
    app.model.on('arrived', (news) => this.#tell(news))
    app.model.on('conversations', () => this.#count())
    navigator.serviceWorker?.addEventListener('message', ({ data }) => app.router.go(data.path), { signal: app.stopped })
  }

  #tell({ conversation, message }) {
    const { model, router } = this.app
    const mentioned = message.mentions_all || message.mentions.some(({ user_id }) => user_id === model.me.user_id)
    const isLookedAt = document.hasFocus() && router.place.params.id === String(conversation.id)
    if (isLookedAt || (conversation.silent && !mentioned) || chosen(model.me).status === 'dnd') return
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
