// The messages of one conversation, as far as they are in memory: without a hole from `from` up to the newest.

const PAGE = 60
const LARGE = 200 // messages of a page, where one goes far back
const AT_ONCE = 8 // such pages that are asked for at the same time

// What becomes of it is emitted by the model as `thread`: { id, kind, message }, where `kind` is added, changed,
// removed, older (some came at the beginning), pending or reset.
export class Thread {
  messages = []
  pending = [] // mine that have no reply yet
  isComplete = false
  #loading = null

  constructor(model, id) {
    this.model = model
    this.id = id
  }

  get #conversation() {
    return this.model.conversations.get(this.id)
  }

  #emit(kind, message = null) {
    this.model.emit('thread', { id: this.id, kind, message })
  }

  // The place of a seq among the messages, or the one where it would be.
  #place(seq) {
    let low = 0
    let high = this.messages.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.messages[middle].seq < seq) low = middle + 1
      else high = middle
    }
    return low
  }

  at(seq) {
    const message = this.messages[this.#place(seq)]
    return message?.seq === seq ? message : undefined
  }

  byId(id) {
    return this.messages.find((message) => message.id === id)
  }

  add(message) {
    this.model.cache.put('messages', message)
    const place = this.#place(message.seq)
    if (this.messages[place]?.seq === message.seq) return
    this.messages.splice(place, 0, message)
    if (message.client_id) this.pending = this.pending.filter(({ client_id }) => client_id !== message.client_id)
    this.#emit('added', message)
  }

  change(seq, change) {
    this.model.cache.change(this.id, seq, change)
    const place = this.#place(seq)
    if (this.messages[place]?.seq !== seq) return
    this.#put(place, change(this.messages[place]))
  }

  changeAll(change) {
    this.model.cache.changeAll(this.id, change)
    this.messages.forEach((message, place) => this.#put(place, change(message)))
  }

  #put(place, changed) {
    if (!changed) return
    this.messages[place] = changed
    this.#emit('changed', changed)
  }

  remove(seq) {
    this.model.cache.remove('messages', [this.id, seq])
    const place = this.#place(seq)
    const message = this.messages[place]
    if (message?.seq !== seq) return
    this.messages.splice(place, 1)
    this.#emit('removed', message)
  }

  reset() {
    this.messages = []
    this.isComplete = false
    this.#emit('reset')
  }

  setPending(pending) {
    this.pending = pending
    this.#emit('pending')
  }

  // Have a page more at the beginning, from this browser or from the server (`ask` gives a page of `history`); or, to
  // get as far back as `seq`, many. Returns whether there may be more.
  async older(ask, seq = null) {
    this.#loading ??= this.#older(ask, seq).finally(() => { this.#loading = null })
    return this.#loading
  }

  async #older(ask, seq) {
    const conversation = this.#conversation
    if (this.isComplete || conversation === undefined) return false
    const before = this.messages[0]?.seq ?? conversation.cursor + 1
    const most = seq === null ? PAGE : LARGE * AT_ONCE
    const kept = await this.model.cache.messages(this.id, { before, from: conversation.low, most })
    if (kept.length > 0) this.#prepend(kept)
    else if (conversation.low > 1) await this.#ask(ask, conversation, seq)
    this.isComplete = conversation.low <= 1 && kept.length < most
    this.#emit('older')
    return !this.isComplete
  }

  async #ask(ask, conversation, seq) {
    const starts = [conversation.low]
    const limit = seq === null ? PAGE : LARGE
    if (seq !== null) while (starts.length < AT_ONCE && starts.at(-1) - limit > seq) starts.push(starts.at(-1) - limit)
    const pages = await Promise.all(starts.map((start) => ask({ conversation_id: this.id, before_seq: start, limit })))
    for (const [at, { messages, more, last_seq }] of pages.entries()) {
      if (starts[at] < conversation.low) break // the page before was cut short: what is between is asked for next
      const received = this.model.received(this.id, messages.filter((message) => message.seq < conversation.low), last_seq)
      for (const message of received) this.model.cache.put('messages', message)
      conversation.low = more ? Math.min(messages[0].seq, conversation.low) : 1
      this.#prepend(received)
    }
    this.model.cache.put('conversations', conversation)
  }

  // Notices come from this browser alone: those between what is already there have been seen to.
  #prepend(messages) {
    const first = this.messages[0]?.seq ?? Infinity
    this.messages = [...messages.filter(({ seq }) => seq < first), ...this.messages]
  }
}
