// The one WebSocket: who we are, requests and their replies, events, and coming back when it is lost.

import { Emitter } from './emitter.js'
import { unique } from './ids.js'
import { Problem } from './problem.js'

const FIRST_PAUSE = 500
const LONGEST_PAUSE = 30_000
const QUIET = 25_000 // ms without a frame after which the server is asked for a sign of life
const PATIENCE = 10_000 // ms within which it must come
const TRIES = 5 // of a request that the server was too busy for
const SESSION_ENDED = 4001

// Emits `state` ('connecting', 'ready', 'waiting'), `event` (a frame), `ended` (the token is worth nothing any more).
export class Connection extends Emitter {
  #socket = null
  #pending = new Map() // id → { frame, resolve, reject, tries }, in the order asked: what has no reply is asked again
  #next = 1
  #lost = 0
  #timer = null
  #pulse = null
  #early = null
  #closed = false
  state = 'connecting'

  // `position()` gives the fields of `auth` besides the token; `apply(sync)` takes what we missed, and returns the
  // fields of the next `sync`, or null when that was all.
  constructor({ token, position, apply }) {
    super()
    Object.assign(this, { token, position, apply })
    addEventListener('online', () => this.#hurry())
    addEventListener('offline', () => { if (this.state !== 'waiting' && !this.#closed) this.#drop() })
    document.addEventListener('visibilitychange', () => { if (!document.hidden) this.#hurry() })
  }

  open() {
    this.#to('connecting')
    const socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`)
    this.#socket = socket
    const current = (listener) => (event) => { if (this.#socket === socket) listener(event) }
    socket.addEventListener('open', current(() => this.#authenticate()))
    socket.addEventListener('message', current(({ data }) => this.#hear(JSON.parse(data))))
    socket.addEventListener('close', current(({ code }) => this.#lose(code)))
    this.#watch()
  }

  close() {
    this.#closed = true
    this.state = 'closed'
    clearTimeout(this.#timer)
    clearTimeout(this.#pulse)
    this.#socket?.close()
    this.#socket = null
  }

  // The data of an op's reply. It is asked again when the connection is lost before it came. Raises `Problem`.
  ask(type, fields = {}) {
    return this.#ask({ ...fields, type })
  }

  // The same for an op that changes something: its `client_id` makes sure that it happens once.
  change(type, fields = {}) {
    return this.#ask({ client_id: unique(), ...fields, type })
  }

  // Say something that is worth nothing later, such as `typing`.
  say(type, fields = {}) {
    if (this.state === 'ready') this.#send({ ...fields, type, id: this.#next++ })
  }

  // Catch up: after an event that is not the next one of its log.
  async sync() {
    if (this.#early !== null) return
    this.#early = []
    try {
      await this.#catchUp(await this.#ask({ type: 'sync', ...this.position() }))
    } finally {
      this.#release()
    }
  }

  #ask(frame) {
    return new Promise((resolve, reject) => {
      const id = this.#next++
      this.#pending.set(id, { frame: { ...frame, id }, resolve, reject, tries: 0 })
      if (this.state === 'ready') this.#send({ ...frame, id })
    })
  }

  // Ask now, before the connection is ready for others.
  #first(frame) {
    return new Promise((resolve, reject) => {
      const id = this.#next++
      this.#pending.set(id, { frame: null, resolve, reject, tries: TRIES })
      this.#send({ ...frame, id })
    })
  }

  // Between the server's goodbye and our hearing of it (`close`) nothing can be said: what needs a reply is asked again.
  #send(frame) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame))
  }

  async #authenticate() {
    const socket = this.#socket
    this.#early = []
    try {
      const { sync } = await this.#first({ type: 'auth', token: this.token, ...this.position() })
      if (sync) await this.#catchUp(sync, (fields) => this.#first({ type: 'sync', ...fields }))
    } catch (problem) {
      if (!(problem instanceof Problem)) reportError(problem)
      if (this.#socket !== socket) return
      if (['bad_token', 'account_disabled'].includes(problem.code)) this.#end()
      else socket.close()
      return
    }
    if (this.#socket !== socket) return
    this.#lost = 0
    this.state = 'ready'
    for (const { frame } of this.#pending.values()) this.#send(frame)
    this.#release()
    this.emit('state', 'ready')
  }

  async #catchUp(sync, ask = (fields) => this.#ask({ type: 'sync', ...fields })) {
    for (let next = this.apply(sync); next !== null;) next = this.apply(await ask(next))
  }

  // What was heard while we caught up comes after it.
  #release() {
    const early = this.#early ?? []
    this.#early = null
    for (const event of early) this.emit('event', event)
  }

  #hear(frame) {
    this.#watch()
    if (frame.type === 'event') {
      if (this.#early === null) this.emit('event', frame)
      else this.#early.push(frame)
    } else if (frame.type === 'reply') {
      this.#answer(frame)
    }
  }

  #answer({ id, success, data, error, message }) {
    const asked = this.#pending.get(id)
    if (asked === undefined) return
    if (!success && ['rate_limited', 'busy'].includes(error.code) && asked.tries++ < TRIES) {
      setTimeout(() => {
        if (this.state === 'ready' && this.#pending.has(id)) this.#send(asked.frame)
      }, error.retry_after_ms ?? 1000)
      return
    }
    this.#pending.delete(id)
    if (success) asked.resolve(data)
    else asked.reject(new Problem(error, message))
  }

  // A connection that is gone without a word is noticed by its silence.
  #watch() {
    clearTimeout(this.#pulse)
    this.#pulse = setTimeout(() => {
      if (this.state === 'ready') this.#send({ type: 'heartbeat', id: 0 })
      this.#pulse = setTimeout(() => this.#drop(), PATIENCE)
    }, QUIET)
  }

  #drop() {
    const socket = this.#socket
    this.#socket = null
    socket?.close()
    this.#lose(1006)
  }

  #lose(code) {
    clearTimeout(this.#pulse)
    this.#socket = null
    this.#early = null
    for (const [id, { frame, reject }] of this.#pending) {
      if (frame !== null) continue
      this.#pending.delete(id)
      reject(new Problem({ code: 'offline', temporary: true }, 'offline'))
    }
    if (this.#closed) return
    if (code === SESSION_ENDED) {
      this.#end()
      return
    }
    this.#to('waiting')
    const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** this.#lost++)
    this.#timer = setTimeout(() => this.open(), pause * (0.5 + Math.random() / 2))
  }

  // There is reason to believe that it works now.
  #hurry() {
    if (this.#closed) return
    if (this.state === 'waiting') {
      clearTimeout(this.#timer)
      this.#lost = 0
      this.open()
    } else if (this.state === 'ready') {
      clearTimeout(this.#pulse)
      this.#send({ type: 'heartbeat', id: 0 })
      this.#pulse = setTimeout(() => this.#drop(), PATIENCE)
    }
  }

  #end() {
    this.close()
    this.emit('ended')
  }

  #to(state) {
    this.state = state
    this.emit('state', state)
  }
}
