// Who types where: what is said of it holds for some seconds.

const HOLDS = 6000 // ms

export class Typists {
  #typing = new Map() // conversation → user → when it is over

  // `changed` is called with the id of a conversation.
  constructor(changed) {
    this.changed = changed
  }

  hear(id, { user_id, on }) {
    if (!this.#typing.has(id)) this.#typing.set(id, new Map())
    const typing = this.#typing.get(id)
    clearTimeout(typing.get(user_id))
    typing.delete(user_id)
    if (on) typing.set(user_id, setTimeout(() => this.hear(id, { user_id, on: false }), HOLDS))
    this.changed(id)
  }

  // User ids.
  in(id) {
    return [...(this.#typing.get(id)?.keys() ?? [])]
  }
}
