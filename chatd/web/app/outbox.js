// What was written and has no reply yet. It is kept in this browser, and sent again until there is one: the same
// client_id makes sure that it arrives once.

import { kindOf } from './picking.js'
import { unique } from './ids.js'
import { mentionsIn } from './text.js'
import { upload } from './uploads.js'

const STOPPED = 'stopped' // somebody else logs in: it is not given up
const ME = unique() // this tab
const MOST_MENTIONS = 50

export class Outbox {
  #running = new Map() // client_id → AbortController
  #lines = new Map() // conversation and whether it is a file → the end of what is before: files wait for files, words for words

  // `members(id)` resolves to those of a group.
  constructor({ model, connection, token, members, onProblem }) {
    Object.assign(this, { model, connection, token, members, onProblem })
    navigator.locks?.request(tab(ME), () => new Promise(() => {})) // held for as long as this tab lives
  }

  // How many of this tab's have no reply yet.
  get size() {
    return [...this.model.conversations.keys()].reduce((sum, id) => sum + this.model.thread(id).pending.length, 0)
  }

  // Go on with what tabs that are closed have left.
  async restore() {
    const left = await this.model.cache.all('outbox')
    const held = navigator.locks ? (await navigator.locks.query()).held.map(({ name }) => name) : []
    left.sort((one, other) => one.created_at.localeCompare(other.created_at))
    for (const entry of left) if (!held.includes(tab(entry.tab)) || entry.tab === ME) this.#begin({ ...entry, tab: ME })
  }

  // Send: `fields` as the op takes them; with a `blob`, which is uploaded first under its `name`.
  send(conversationId, fields, { blob = null, name = null, preview = null } = {}) {
    this.#begin({
      client_id: unique(), conversation_id: conversationId, fields, blob, name, preview,
      from_user_id: this.model.me.user_id, created_at: new Date().toISOString(), state: 'sending', progress: 0, place: null, tab: ME,
    })
  }

  #begin(entry) {
    this.model.cache.put('outbox', entry)
    const thread = this.model.thread(entry.conversation_id)
    if (!thread.pending.some(({ client_id }) => client_id === entry.client_id)) thread.setPending([...thread.pending, entry])
    this.model.emit('conversations')
    if (entry.state !== 'failed') this.#run(entry)
  }

  async #run(entry) {
    const { client_id, conversation_id, fields } = entry
    const abort = new AbortController()
    this.#running.set(client_id, abort)
    const isFile = entry.blob !== null
    const { turn, next } = this.#line(`${conversation_id} ${isFile}`)
    try {
      await turn
      let sent = { ...fields, ...await this.#mentions(entry) }
      abort.signal.throwIfAborted()
      if (isFile) {
        const file = await upload(entry.blob, {
          name: entry.name, token: this.token, signal: abort.signal, place: entry.place,
          onProgress: (progress) => this.#change(client_id, { progress }),
          onPlace: (place) => { entry = this.#update(entry, { place }) },
        })
        sent = { ...sent, kind: kindOf(file) === fields.kind ? fields.kind : 'file', file_id: file.file_id } // its content counts
        entry = this.#update(entry, { fields: sent, blob: null, file, progress: 1 })
      } else if (sent.mentions !== undefined) {
        entry = this.#update(entry, { fields: sent }) // what is sent again must be the same
      }
      this.#sent(entry, await this.connection.change('send', { conversation_id, client_id, ...sent }))
    } catch (problem) {
      if (!abort.signal.aborted) this.#failed(entry, problem)
    } finally {
      next()
      this.#running.delete(client_id)
    }
  }

  // Change an entry, here and where it is kept. Returns it as it is then.
  #update(entry, fields) {
    const updated = { ...entry, ...fields }
    this.model.cache.put('outbox', updated)
    this.#change(entry.client_id, fields)
    return updated
  }

  // Whom a text means. Who is in a group may not be known yet when it is written.
  async #mentions({ conversation_id, fields: { kind = 'text', content = '', mentions } }) {
    if (mentions !== undefined || !content.includes('@') || ['location', 'card'].includes(kind)) return {}
    const conversation = this.model.conversations.get(conversation_id)
    const people = conversation?.kind === 'group' ? await this.members(conversation_id) : [conversation?.peer].filter(Boolean)
    const names = people.map(({ username }) => username).filter((username) => username !== this.model.me.username)
    const isAdmin = ['admin', 'owner'].includes(conversation?.role)
    const meant = [...isAdmin && mentionsIn(content, ['all']).length > 0 ? ['@all'] : [], ...mentionsIn(content, names)]
    return { mentions: meant.slice(0, MOST_MENTIONS) }
  }

  // A place in a line: when it is its turn, and what lets the next one go.
  #line(line) {
    const turn = this.#lines.get(line)
    let next
    this.#lines.set(line, new Promise((resolve) => { next = resolve }))
    return { turn, next }
  }

  // The reply is the entry itself for who sent it.
  #sent(entry, { message_id, conversation_id, seq, created_at }) {
    this.model.cache.remove('outbox', entry.client_id)
    const { me } = this.model
    const { content = '', kind = 'text', reply_to = null, mentions = [] } = entry.fields
    const peer = this.model.conversations.get(conversation_id)?.peer ?? null
    const members = [...this.model.people.values()]
    const heard = this.model.hear({
      event: 'message', conversation_id, seq,
      data: {
        message_id, created_at, content, kind, reply_to, client_id: entry.client_id, from_user_id: me.user_id,
        from_username: me.username, to_user_id: peer?.user_id ?? null, forwarded_from: null, recalled_at: null,
        file: entry.file ?? null, mentions_all: mentions.includes('@all'),
        mentions: members.filter(({ username }) => mentions.includes(username)).map(({ user_id, username }) => ({ user_id, username })),
      },
    })
    if (heard) this.#drop(entry)
    else this.connection.sync() // which brings it, after what we had missed
  }

  #failed(entry, problem) {
    this.#update(entry, { state: 'failed', error: problem.message, code: problem.code })
    this.onProblem?.(problem)
  }

  // Leave what is under way to the next time.
  stop() {
    for (const abort of this.#running.values()) abort.abort(STOPPED)
  }

  retry(entry) {
    const { mentions, ...fields } = entry.fields // somebody may not be there any more
    if (entry.code === 'recalled') delete fields.reply_to
    this.#run(this.#update(entry, { fields, state: 'sending', error: null }))
  }

  // Take back what was not sent yet.
  cancel(entry) {
    this.#running.get(entry.client_id)?.abort()
    this.model.cache.remove('outbox', entry.client_id)
    this.#drop(entry)
  }

  #drop({ conversation_id, client_id }) {
    const thread = this.model.thread(conversation_id)
    thread.setPending(thread.pending.filter((one) => one.client_id !== client_id))
    this.model.emit('conversations')
  }

  #change(clientId, fields) {
    for (const id of this.model.conversations.keys()) {
      const thread = this.model.thread(id)
      const entry = thread.pending.find(({ client_id }) => client_id === clientId)
      if (entry === undefined) continue
      Object.assign(entry, fields)
      this.model.emit('thread', { id, kind: 'progress', message: entry })
    }
  }
}

function tab(id) {
  return `chatd-tab-${id}`
}
