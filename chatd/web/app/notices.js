// What others did with my moments and comments while I looked elsewhere.

import { Emitter } from './emitter.js'

const MOST = 50
const TAKEN_BACK = { unliked: 'liked', comment_deleted: 'commented' }

// Emits `changed`.
export class Notices extends Emitter {
  list = [] // the newest first: { moment_id, comment_id, action, user_id, username }
  unseen = 0

  constructor({ model, cache }) {
    super()
    this.cache = cache
    this.me = model.me.user_id
    model.on('moment', (event) => this.#hear(event))
    this.#restore()
  }

  // Somebody looks at them now. Gives them; they are told once.
  take() {
    const taken = this.list
    this.list = []
    this.#set(0)
    return taken
  }

  async #restore() {
    const kept = await this.cache.get('meta', 'notices')
    if (kept === undefined) return
    this.list = [...this.list, ...kept.list].slice(0, MOST)
    this.#set(this.unseen + kept.unseen)
  }

  #hear({ action, moment_id, comment_id, by_user_id: user_id, by_username: username }) {
    if (action === 'deleted') this.#keep((one) => one.moment_id !== moment_id)
    if (TAKEN_BACK[action] !== undefined) {
      this.#keep((one) => !(one.moment_id === moment_id && one.action === TAKEN_BACK[action] && one.comment_id === comment_id
        && (action !== 'unliked' || one.user_id === user_id)))
    }
    if (user_id === this.me || !['liked', 'commented'].includes(action)) return
    this.list = [{ moment_id, comment_id, action, user_id, username }, ...this.list].slice(0, MOST)
    this.#set(this.unseen + 1)
  }

  #keep(wanted) {
    const before = this.list.length
    this.list = this.list.filter(wanted)
    if (this.list.length < before) this.#set(Math.max(0, this.unseen - (before - this.list.length)))
  }

  #set(unseen) {
    this.unseen = Math.min(unseen, this.list.length)
    this.cache.put('meta', { list: this.list, unseen: this.unseen }, 'notices')
    this.emit('changed')
  }
}
