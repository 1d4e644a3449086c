// Telling the others how far we have received and read: at most once a second for each conversation.

const PACE = 1000 // ms

export class Receipts {
  #telling = new Map() // `${op} ${conversation}` → { seq, told }: how far one is, and what was said of it

  constructor(app) {
    this.app = app
    app.model.on('arrived', ({ conversation }) => this.delivered(conversation))
    app.connection.on('state', (state) => {
      if (state === 'ready') for (const one of app.model.conversations.values()) if (one.unread_count > 0) this.delivered(one)
    })
  }

  delivered(conversation) {
    const { cursor, delivered_seq, read_seq } = conversation
    if (cursor <= Math.max(delivered_seq, read_seq)) return
    conversation.delivered_seq = cursor
    this.#tell('delivered', conversation)
  }

  // Everything up to the newest was looked at.
  read(conversation) {
    const { id, cursor, read_seq, unread_count } = conversation
    if (cursor <= read_seq && unread_count === 0) return
    this.app.model.update(id, { read_seq: cursor, unread_count: 0 })
    this.#tell('read', conversation)
  }

  // What is told is how far one was when one looked, not how far the conversation is when its time has come.
  #tell(op, { id, cursor }) {
    const key = `${op} ${id}`
    const telling = this.#telling.get(key)
    if (telling !== undefined) {
      telling.seq = cursor
      return
    }
    const begun = { seq: cursor, told: 0 }
    this.#telling.set(key, begun)
    queueMicrotask(() => this.#say(op, id, begun))
  }

  #say(op, id, telling) {
    if (telling.seq <= telling.told) {
      this.#telling.delete(`${op} ${id}`)
      return
    }
    telling.told = telling.seq
    this.app.connection.change(op, { conversation_id: id, seq: telling.seq }).catch(() => {}) // told again with the next
    setTimeout(() => this.#say(op, id, telling), PACE)
  }
}
