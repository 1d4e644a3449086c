// Telling the others how far we have received and read: at most once a second for each conversation.

const PACE = 1000 // ms

export class Receipts {
  #told = new Map() // `${op} ${conversation}` → { seq, timer }

  constructor(app) {
    this.app = app
    app.model.on('arrived', ({ conversation }) => this.delivered(conversation))
    app.connection.on('state', (state) => {
      if (state === 'ready') for (const one of app.model.conversations.values()) if (one.unread_count > 0) this.delivered(one)
    })
  }

  delivered(conversation) {
    if (conversation.cursor > conversation.delivered_seq && conversation.cursor > conversation.read_seq) this.#tell('delivered', conversation)
  }

  // Everything up to the newest was looked at.
  read(conversation) {
    if (conversation.cursor > conversation.read_seq || conversation.unread_count > 0) this.#tell('read', conversation)
  }

  #tell(op, conversation) {
    const key = `${op} ${conversation.id}`
    if (this.#told.has(key)) return // the newest is told when its time has come
    this.#told.set(key, setTimeout(() => this.#told.delete(key), PACE))
    queueMicrotask(() => this.#now(op, conversation))
  }

  async #now(op, conversation) {
    const seq = conversation.cursor
    if (op === 'read') this.app.model.update(conversation.id, { read_seq: seq, unread_count: 0 })
    else conversation.delivered_seq = seq
    await this.app.connection.change(op, { conversation_id: conversation.id, seq }).catch(() => {}) // told again with the next
    if (conversation.cursor <= seq) return
    setTimeout(() => this[op](conversation), PACE)
  }
}
