// What this user's conversations are, as the server told: every event of every log ends here.
//
// Emits `conversations` (the list), `conversation` (an id), `thread` (of a conversation: what became of its messages),
// `people`, `friends`, `requests`, `typing`, `moment`, `sessions`, `profile`, `arrived` (a message that is news), `left`.

import { Emitter } from './emitter.js'
import * as entries from './entries.js'
import { looked } from './receipts.js'
import { Thread } from './thread.js'
import { Typists } from './typists.js'

const CHANGES = { edit: entries.edited, recall: entries.recalled, reaction: entries.reacted, pin: entries.pinned }

export class Model extends Emitter {
  conversations = new Map()
  people = new Map()
  friends = new Set()
  knowsFriends = false
  requests = [] // friend requests that wait for me
  profile = null
  #threads = new Map()
  #typists = new Typists((id) => this.emit('typing', id))
  #since = null
  #round = null
  #epoch = null
  #isThere = false // since the page was opened we have caught up once: what is missed from now on is news
  #missed = new Set() // conversations
  #isRestored = false // the server's data is an older copy: what is not in it is gone

  constructor({ me, cache }) {
    super()
    this.me = me // { user_id, username }
    this.cache = cache
  }

  // What was kept in this browser.
  async restore() {
    const [conversations, position, people] = await Promise.all([
      this.cache.all('conversations'), this.cache.get('meta', 'position'), this.cache.get('meta', 'people'),
    ])
    for (const one of conversations) this.conversations.set(one.id, one)
    this.#since = position?.since ?? null
    this.#epoch = position?.epoch ?? null
    for (const person of people?.people ?? []) this.people.set(person.user_id, { ...person, status: 'offline' })
    this.friends = new Set(people?.friends ?? [])
    this.knowsFriends = people?.friends !== undefined
    this.profile = people?.profile ?? null
    return conversations.length > 0
  }

  // Catching up

  // Whether `sync` was ever through: what is not here then, is nowhere.
  get isKnown() {
    return this.#since !== null
  }

  // The fields that say how far we are, for `auth` and `sync`.
  position() {
    const cursors = {}
    for (const { id, cursor } of this.conversations.values()) cursors[id] = cursor
    const position = { cursors }
    if (this.#since !== null) Object.assign(position, { since: this.#since, epoch: this.#epoch })
    return position
  }

  // Take a page of `sync`. Returns the fields to ask for the next one with, or null.
  apply({ epoch, now, conversations, events, next }) {
    this.#round ??= now
    if (this.#epoch !== null && epoch !== this.#epoch) this.#isRestored = true
    for (const head of conversations) this.#head(head)
    for (const event of events) this.hear(event, { live: false })
    for (const { conversation_id, cursor } of conversations) this.#follow(conversation_id, cursor)
    if (next !== null) return { ...this.position(), after_conversation_id: next }
    this.#since = this.#round
    this.#round = null
    this.#epoch = epoch
    this.cache.put('meta', { since: this.#since, epoch }, 'position')
    this.emit('conversations')
    this.#tellMissed()
    this.#isThere = true
    return null
  }

  // The last of each conversation's news that came while we were cut off.
  #tellMissed() {
    for (const id of this.#missed) {
      const conversation = this.conversations.get(id)
      const message = conversation?.last_message
      const isNews = message && message.from_user_id !== this.me.user_id && message.seq > looked(conversation) && !message.recalled_at
      if (isNews) this.emit('arrived', { conversation, message })
    }
    this.#missed.clear()
  }

  #head(head) {
    const { conversation_id: id, cursor, recovered, peer_id, peer_username, ...fields } = head
    const known = this.conversations.get(id)
    if (known === undefined || !recovered) {
      if (known !== undefined) {
        this.cache.removeAll(id)
        this.#threads.get(id)?.reset()
      }
      const from = known === undefined && this.#since !== null ? 0 : cursor
      const peer = peer_id === null ? null : { user_id: peer_id, username: peer_username, nickname: '', avatar_url: null }
      this.conversations.set(id, Object.assign(known ?? {
        id, avatar_url: null, member_count: null, silent: false, pinned: false, last_at: null, peer,
      }, fields, { cursor: from, low: from + 1, last_message: null, looked_seq: 0 }))
    } else {
      const isAhead = looked(known) > fields.read_seq // what I have read is on its way to the server
      Object.assign(known, fields, isAhead ? { unread_count: known.unread_count } : {})
    }
    this.#keep(id)
  }

  // Where only the head of a log was given, what is before it is asked for when it is looked at.
  #follow(id, cursor) {
    const conversation = this.conversations.get(id)
    if (conversation.cursor >= cursor) return
    Object.assign(conversation, { cursor, low: cursor + 1 })
    this.#keep(id)
  }

  // An event. One that is not the next of its log is left to `sync`: returns false then.
  hear(event, { live = true } = {}) {
    if (event.seq === undefined || event.seq === null) {
      this.#pass(event)
      return true
    }
    const conversation = this.conversations.get(event.conversation_id)
    if (conversation === undefined) return !live // one that we came into: `sync` tells of it
    if (event.seq <= conversation.cursor) return true
    if (live && event.seq > conversation.cursor + 1) return false
    conversation.cursor = event.seq
    conversation.last_seq = Math.max(conversation.last_seq, event.seq)
    this.#enter(conversation, event, live)
    this.#keep(conversation.id)
    return true
  }

  #enter(conversation, event, live) {
    const { event: kind, data } = event
    if (kind === 'message') return this.#message(conversation, event, live)
    if (CHANGES[kind]) return this.#changed(conversation, event)
    switch (kind) {
      case 'erasure':
        return this.#erased(conversation, event)
      case 'delete':
        return this.#deleted(data)
      case 'group':
      case 'member':
        return this.#group(conversation, event, live)
      case 'conversation':
        return this.#opened(data)
      case 'conversation_settings':
        return this.update(data.of_id, { silent: data.silent, pinned: data.pinned })
      case 'friend':
        return this.#friend(data)
      case 'friend_request':
        return this.emit('stale', 'requests')
      case 'block':
        return this.emit('stale', 'blocks')
      case 'join_request':
        return this.emit('stale', `group:${data.group_id}`)
      case 'profile':
        return this.emit('stale', 'profile')
      case 'session':
        return this.emit('sessions')
      case 'moment':
        return this.emit('moment', { ...data, live })
    }
  }

  // Messages

  #message(conversation, event, live) {
    const message = entries.written(event)
    const mine = message.from_user_id === this.me.user_id
    this.thread(conversation.id).add(message)
    if (!mine && message.recalled_at === null && live) conversation.unread_count += 1
    conversation.last_message = message
    conversation.last_at = message.created_at
    this.#typists.hear(conversation.id, { user_id: message.from_user_id, on: false })
    if (live && !mine) this.emit('arrived', { conversation, message })
    else if (this.#isThere && !mine) this.#missed.add(conversation.id)
    this.emit('conversations')
  }

  #changed(conversation, event) {
    const change = (message) => CHANGES[event.event](message, event, this.me.user_id)
    this.thread(conversation.id).change(event.data.message_seq, change)
    if (event.event !== 'reaction') this.emit('pins', conversation.id)
    if (event.event === 'recall') this.#counted(conversation, event.data.message_seq)
    if (conversation.last_message?.seq === event.data.message_seq) {
      conversation.last_message = change({ applied: 0, reactions: [], ...conversation.last_message }) ?? conversation.last_message
      this.emit('conversations')
    }
  }

  #erased(conversation, event) {
    this.thread(conversation.id).changeAll((message) => entries.erased(message, event))
    const person = this.people.get(event.data.user_id)
    if (person) this.meet({ ...person, username: event.data.username, nickname: '', avatar_url: null })
  }

  #deleted({ of_id, message_seq }) {
    this.thread(of_id).remove(message_seq)
    const conversation = this.conversations.get(of_id)
    if (conversation === undefined) return
    this.#counted(conversation, message_seq)
    if (conversation.last_message?.seq !== message_seq) return
    conversation.last_message = null // the server knows what is the last one now
    this.emit('stale', 'conversations')
  }

  // Something that may have counted as unread is none any more: the server knows how many are left.
  #counted(conversation, seq) {
    if (conversation.unread_count > 0 && seq > looked(conversation)) this.emit('stale', 'conversations')
  }

  // An answer of `history` or the like: what the server has, as of `last_seq`.
  received(conversationId, messages, lastSeq) {
    return messages.map((message) => ({ ...message, applied: Math.max(lastSeq, message.seq) }))
  }

  thread(id) {
    if (!this.#threads.has(id)) this.#threads.set(id, new Thread(this, id))
    return this.#threads.get(id)
  }

  // Conversations

  #opened({ opened_id }) {
    if (!this.conversations.has(opened_id)) this.emit('stale', 'position')
    this.emit('stale', 'conversations')
  }

  #group(conversation, event, live) {
    const { data } = event
    this.thread(conversation.id).add(entries.notice(event, live ? new Date().toISOString() : conversation.last_at))
    if (event.event === 'group') {
      if (data.title !== null) conversation.title = data.title
      if (data.action === 'dissolved') conversation.has_left = true
    } else {
      const mine = data.users.some(({ user_id }) => user_id === this.me.user_id)
      if (mine && ['left', 'removed'].includes(data.action)) conversation.has_left = true
      if (mine && ['joined', 'added'].includes(data.action)) conversation.has_left = false
      if (mine && data.role) conversation.role = data.role
      if (data.action === 'role' && data.role === 'owner' && data.by_user_id === this.me.user_id) conversation.role = 'admin'
    }
    this.emit('stale', `group:${conversation.id}`)
    this.emit('stale', 'conversations')
    this.emit('conversation', conversation.id)
  }

  // Take a page of `conversations`.
  list(conversations) {
    if (this.#isRestored) this.#only(new Set(conversations.map(({ conversation_id }) => conversation_id)))
    this.#isRestored = false
    for (const { conversation_id: id, ...fields } of conversations) {
      const known = this.conversations.get(id)
      if (known === undefined) continue // `sync` has not told of it yet; it will
      const newer = known.last_message !== null && fields.last_message !== null && known.last_message.seq > fields.last_message.seq
      if (newer) delete fields.last_message, delete fields.last_at
      if (newer || looked(known) > fields.read_seq) delete fields.unread_count
      Object.assign(known, fields, {
        last_seq: Math.max(known.last_seq, fields.last_seq), read_seq: Math.max(known.read_seq, fields.read_seq),
      })
      if (fields.peer) this.meet(fields.peer)
      this.#keep(id)
    }
    this.emit('conversations')
  }

  // Forget conversations that the server does not know any more.
  #only(ids) {
    for (const { id, kind } of [...this.conversations.values()]) {
      if (ids.has(id) || kind === 'self') continue
      this.conversations.delete(id)
      this.cache.remove('conversations', id)
      this.cache.removeAll(id)
    }
  }

  update(id, fields) {
    const conversation = this.conversations.get(id)
    if (conversation === undefined) return
    Object.assign(conversation, fields)
    this.#keep(id)
    this.emit('conversation', id)
    this.emit('conversations')
  }

  // The direct conversation with somebody, if there is one.
  direct(userId) {
    if (userId === this.me.user_id) return [...this.conversations.values()].find(({ kind }) => kind === 'self')
    return [...this.conversations.values()].find(({ peer }) => peer?.user_id === userId)
  }

  #keep(id) {
    this.cache.put('conversations', this.conversations.get(id))
    this.emit('conversation', id)
  }

  // Short-lived: who has read how far, who is there, who types.

  #pass({ event, conversation_id, data }) {
    switch (event) {
      case 'receipt':
        return this.#receipt(conversation_id, data)
      case 'join':
      case 'presence':
        return this.meet({ user_id: data.user_id, username: data.username, status: data.status, text: data.text })
      case 'leave':
        return this.meet({ user_id: data.user_id, username: data.username, status: 'offline', text: '', last_seen: data.last_seen })
      case 'typing':
        return data.user_id === this.me.user_id || this.#typists.hear(conversation_id, data)
    }
  }

  #receipt(id, { user_id, read_seq, delivered_seq }) {
    const conversation = this.conversations.get(id)
    if (conversation === undefined) return
    if (user_id !== this.me.user_id) {
      this.update(id, {
        peer_read_seq: Math.max(conversation.peer_read_seq ?? 0, read_seq),
        peer_delivered_seq: Math.max(conversation.peer_delivered_seq ?? 0, delivered_seq),
      })
    } else if (read_seq > conversation.read_seq) {
      this.update(id, { read_seq, unread_count: read_seq >= conversation.cursor ? 0 : conversation.unread_count })
      this.#counted(conversation, conversation.cursor)
    }
  }

  // Who types in a conversation: user ids.
  typists(id) {
    return this.#typists.in(id)
  }

  // People

  // Remember what we are told of somebody; what is left out stays.
  meet(person) {
    this.people.set(person.user_id, { nickname: '', avatar_url: null, remark: '', status: 'offline', text: '', last_seen: null, ...this.people.get(person.user_id), ...person })
    this.emit('people', person.user_id)
  }

  // What somebody is called here: the name I gave them, or the one they gave themselves.
  nameOf(userId, username = '') {
    if (userId === this.me.user_id) return this.profile?.nickname || this.me.username
    const person = this.people.get(userId)
    return person?.remark || person?.nickname || person?.username || username
  }

  // Everybody who is there, whom I may see: the others are not.
  present(users) {
    const here = new Set(users.map(({ user_id }) => user_id))
    for (const one of this.people.values()) if (one.status !== 'offline' && !here.has(one.user_id)) this.meet({ user_id: one.user_id, status: 'offline', text: '' })
    for (const { user_id, username, nickname, status, text } of users) this.meet({ user_id, username, nickname, status, text })
  }

  befriend(friends) {
    this.friends = new Set(friends.map(({ id }) => id))
    this.knowsFriends = true
    for (const { id, status_text, ...rest } of friends) {
      this.meet({ user_id: id, text: status_text, username: rest.username, nickname: rest.nickname, avatar_url: rest.avatar_url,
        remark: rest.remark, status: rest.status, last_seen: rest.last_seen })
    }
    this.#keepPeople()
    this.emit('friends')
  }

  #friend({ state, user_id, username, remark }) {
    if (state === 'removed') this.friends.delete(user_id)
    else this.friends.add(user_id)
    this.meet({ user_id, username, ...(remark === null ? {} : { remark }) })
    this.emit('friends')
    this.emit('stale', 'friends')
  }

  described(profile) {
    this.profile = profile
    this.#keepPeople()
    this.emit('profile')
  }

  waiting(requests) {
    this.requests = requests
    this.emit('requests')
  }

  #keepPeople() {
    const people = [...this.friends].map((id) => this.people.get(id)).filter(Boolean)
    this.cache.put('meta', { people, friends: [...this.friends], profile: this.profile }, 'people')
  }
}
