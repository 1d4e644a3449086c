// Telling the others how far we have received and read: at most once a second for each conversation. What was looked at
// and not told yet is `looked_seq` of a conversation: it is kept, and told when there is a connection again.

const PACE = 1000 // ms

// How far I have looked, whether the server has heard of it or not.
export function looked({ read_seq, looked_seq = 0 }) {
  return Math.max(read_seq, looked_seq)
}

export class Receipts {
  #telling = new Map() // `${op} ${conversation}` → { seq, told }: how far one is, and what was said of it

  constructor(app) {
    this.app = app
    app.model.on('arrived', ({ conversation }) => this.delivered(conversation))
    app.connection.on('state', (state) => {
      if (state !== 'ready') return
      for (const one of app.model.conversations.values()) {
        if (one.unread_count > 0) this.delivered(one)
        if (looked(one) > one.read_seq) this.#tell('read', one.id, one.looked_seq)
      }
    })
  }

  delivered(conversation) {
    const { id, cursor, delivered_seq, read_seq } = conversation
    if (cursor <= Math.max(delivered_seq, read_seq)) return
    conversation.delivered_seq = cursor
    this.#tell('delivered', id, cursor)
  }

  // Everything up to the newest was looked at.
  read(conversation) {
    const { id, cursor, unread_count } = conversation
    if (unread_count === 0) return
    this.app.model.update(id, { looked_seq: cursor, unread_count: 0 })
    this.#tell('read', id, cursor)
  }

  // What is told is how far one was when one looked, not how far the conversation is when its time has come.
  #tell(op, id, seq) {
    const key = `${op} ${id}`
    const telling = this.#telling.get(key)
    if (telling !== undefined) {
      telling.seq = Math.max(seq, telling.seq)
      return
    }
    const begun = { seq, told: 0 }
    this.#telling.set(key, begun)
    queueMicrotask(() => this.#say(op, id, begun))
  }

  #say(op, id, telling) {
    if (telling.seq <= telling.told) {
      this.#telling.delete(`${op} ${id}`)
      return
    }
    telling.told = telling.seq
    this.#told(op, id, telling.seq).catch(() => {}) // told again with the next
    setTimeout(() => this.#say(op, id, telling), PACE)
  }

  async #told(op, id, seq) {
    await this.app.connection.change(op, { conversation_id: id, seq })
    const conversation = this.app.model.conversations.get(id)
    if (op !== 'read' || conversation === undefined) return
    if (conversation.read_seq < seq) this.app.model.update(id, { read_seq: seq })
    // What came since was not counted while the server did not know how far I was.
    if (looked(conversation) === seq && seq < conversation.cursor) this.app.model.emit('stale', 'conversations')
  }
}
