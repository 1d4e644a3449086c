// What this server allows, as its op `server` tells, so that nobody is offered what it would refuse. What is not known
// yet is offered: the server has the last word.
//
// Emits `changed`.

import { Emitter } from './emitter.js'

export class Rules extends Emitter {
  #known = {}
  #ahead = 0 // ms by which this device's clock is ahead of the server's

  constructor(cache) {
    super()
    this.cache = cache
  }

  // What the server told this browser earlier.
  async restore() {
    const kept = await this.cache.get('meta', 'rules')
    this.#known = kept?.known ?? {}
    this.#ahead = kept?.ahead ?? 0
  }

  learn({ now, ...known }) {
    const isNew = JSON.stringify(known) !== JSON.stringify(this.#known)
    this.#known = known
    this.#ahead = Date.now() - Date.parse(now)
    this.cache.put('meta', { known, ahead: this.#ahead }, 'rules')
    if (isNew) this.emit('changed')
  }

  // Whether one may write to somebody who is no friend.
  get withStrangers() {
    return this.#known.direct === 'anyone'
  }

  get mail() {
    return this.#known.mail !== false
  }

  // Whether an invite would let somebody in.
  get invites() {
    return this.#known.invites !== 'nobody' && this.#known.signup !== 'closed'
  }

  mayEdit(message) {
    return this.#isWithin(this.#known.edit_window, message)
  }

  mayRecall(message) {
    return this.#isWithin(this.#known.recall_window, message)
  }

  #isWithin(seconds, { created_at: created }) {
    return seconds === undefined || Date.now() - this.#ahead - Date.parse(created) <= seconds * 1000
  }
}
