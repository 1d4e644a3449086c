// A conversation: who it is with, what was said, and where one writes.

import { avatar } from '../avatar.js'
import { copy } from '../clipboard.js'
import { Composer } from '../composer.js'
import { confirm, explain, menu, note } from '../dialog.js'
import { fill, h, icon, iconButton } from '../dom.js'
import { emojiPicker, quickEmoji } from '../emoji.js'
import { t } from '../language.js'
import { messageOf, pendingOf } from '../message.js'
import { carriesFiles, filesOf } from '../picking.js'
import { preview } from '../preview.js'
import { looked } from '../receipts.js'
import { refill } from '../rows.js'
import { Timeline } from '../timeline.js'
import { ago } from '../time.js'
import { progress } from '../attachments.js'
import { edits, files, pins, receipts } from './conversation_lists.js'
import { titleOf } from './conversations.js'
import { missing } from './missing.js'

export function conversation(app, params, signal) {
  const { id, seq } = params
  const known = app.model.conversations.get(Number(id))
  if (known === undefined) return missing(app, Number(id), signal, () => conversation(app, params, signal))
  return new View(app, known, signal).begin(seq === undefined ? null : Number(seq))
}

class View {
  #members = []
  #more = 0

  constructor(app, conversation, signal) {
    Object.assign(this, { app, conversation, signal })
    const { model } = app
    this.thread = model.thread(conversation.id)
    this.isGroup = conversation.kind === 'group'
    this.does = {
      find: (id) => this.thread.byId(id),
      show: (id) => this.timeline.showId(id).then((found) => found || note(t('message.gone'))),
      menu: (message, anchor) => this.#menu(message, anchor),
      pickReaction: (message, anchor) => this.#pickReaction(message, anchor),
      react: (message, emoji, on) => this.#react(message, emoji, on),
      reply: (message) => this.composer.reply(message),
      cancel: (entry) => app.outbox.cancel(entry),
      retry: (entry) => app.outbox.retry(entry),
    }
    this.timeline = new Timeline({
      thread: this.thread, signal, firstUnread: conversation.unread_count > 0 ? looked(conversation) + 1 : null,
      unreadCount: conversation.unread_count,
      draw: (item, flags) => (item.seq === undefined ? pendingOf(app, item, this.does) : messageOf(app, item, flags, this.does)),
      flagsOf: (item) => this.#flags(item),
      ask: (fields) => app.connection.ask('history', fields),
      onEnd: () => this.#atEnd(),
      onMore: () => this.#jump(),
    })
    this.composer = new Composer({
      app, conversation, members: () => this.#members, lastOwn: () => this.#lastOwn(),
      send: (fields, file) => this.#send(fields, file),
      edit: (message, content) => app.connection.change('edit', { message_id: message.id, content }),
    })
    this.head = h('header', { class: 'stage-head' })
    this.pinned = h('div', { class: 'pinned', hidden: true })
    this.down = h('button', { type: 'button', class: 'down', hidden: true, on: { click: () => this.timeline.toEnd() } })
    this.foot = h('div', { class: 'foot' })
    this.drop = h('div', { class: 'drop', hidden: true }, icon('attach'), t('conversation.drop'))
    this.element = h('div', { class: 'conversation' }, this.head, this.pinned, h('div', { class: 'timeline-frame' }, this.timeline.element, this.down), this.foot, this.drop)
    this.#listen()
  }

  begin(seq) {
    this.#drawHead()
    this.#drawFoot()
    this.element.drawn = this.#begin(seq)
    this.element.moved = ({ seq: to }) => { if (to !== undefined) this.timeline.show(Number(to)) }
    return this.element
  }

  async #begin(seq) {
    const isTouch = matchMedia('(pointer: coarse)').matches
    if (!isTouch && seq === null) queueMicrotask(() => this.composer.focus())
    const begun = this.timeline.begin().catch(explain)
    if (this.app.connection.state === 'ready') await begun
    if (seq !== null) this.timeline.show(seq).then((found) => found || note(t('message.gone'))).catch(explain)
    this.#loadPins()
    if (this.isGroup && !this.conversation.has_left) this.#loadMembers()
    else if (this.conversation.peer) this.#members = [{ username: this.conversation.peer.username, name: this.conversation.peer.username }]
  }

  #listen() {
    const { app: { model, rules }, conversation: { id }, signal } = this
    model.on('thread', (change) => { if (change.id === id) this.#changed(change) }, { signal })
    model.on('conversation', (changed) => {
      if (changed !== id) return
      this.#drawHead()
      this.#drawFoot()
      this.timeline.changed() // ticks
    }, { signal })
    model.on('typing', (changed) => { if (changed === id) this.#drawHead() }, { signal })
    model.on('people', () => { this.#drawHead(); this.timeline.changed() }, { signal })
    model.on(`group:${id}`, () => this.#loadMembers(), { signal })
    model.on('friends', () => this.#drawFoot(), { signal })
    model.on('pins', (changed) => { if (changed === id) this.#loadPins() }, { signal })
    rules.on('changed', () => this.#drawFoot(), { signal })
    for (const what of ['focus', 'visibilitychange']) {
      (what === 'focus' ? window : document).addEventListener(what, () => { if (this.timeline.isAtEnd) this.#atEnd() }, { signal })
    }
    this.element.addEventListener('keydown', (event) => this.#key(event))
    this.element.addEventListener('contextmenu', (event) => this.#contextmenu(event))
    this.element.addEventListener('dragover', (event) => {
      if (!carriesFiles(event) || this.foot.firstElementChild !== this.composer.element) return
      event.preventDefault()
      this.drop.hidden = false
    })
    this.element.addEventListener('dragleave', (event) => { if (!this.element.contains(event.relatedTarget)) this.drop.hidden = true })
    this.element.addEventListener('drop', (event) => {
      this.drop.hidden = true
      event.preventDefault()
      this.composer.files(filesOf(event))
    })
  }

  #changed({ kind, message }) {
    if (kind === 'progress') return this.#progress(message)
    this.timeline.changed()
    if (kind === 'added' && message.from_user_id !== this.app.model.me.user_id && message.kind !== 'notice') {
      if (!this.timeline.isAtEnd) this.#more += 1
      this.#jump()
      fill(document.querySelector('#live'), h('p', {}, `${this.#nameOf(message)}: ${preview(message)}`))
    }
    if (kind === 'changed' && message.recalled_at) this.#recalled(message)
  }

  // What it said is nobody's business now.
  #recalled({ id }) {
    fill(document.querySelector('#live'))
    this.composer.forget(id)
    if (this.menuOf === id) document.querySelector('.menu')?.hidePopover()
  }

  #progress(entry) {
    const row = this.timeline.element.querySelector(`[data-client="${CSS.escape(entry.client_id)}"]`)
    const shown = row?.querySelector('[data-progress]')
    if (entry.state === 'sending' && shown) progress(shown, entry)
    else this.timeline.changed()
  }

  // What a row shows besides its message.
  #flags(item) {
    const { model } = this.app
    if (item.seq === undefined) return { state: item.state, error: item.error, file: item.file?.file_id }
    if (item.kind === 'notice') return { names: item.data.users?.map(({ user_id, username }) => model.nameOf(user_id, username)) }
    const mine = item.from_user_id === model.me.user_id
    const replied = item.reply_to ? this.thread.byId(item.reply_to) : undefined
    return {
      tick: mine ? this.#tick(item) : null, isGroup: this.isGroup, name: this.#nameOf(item),
      face: this.isGroup && !mine ? model.people.get(item.from_user_id)?.avatar_url ?? null : null,
      quoted: replied && [replied.content, replied.recalled_at],
    }
  }

  #tick({ seq, is_read, is_delivered }) {
    const { kind, peer_read_seq, peer_delivered_seq } = this.conversation
    if (kind === 'self') return 'sent'
    if (is_read || seq <= (peer_read_seq ?? 0)) return 'read'
    return is_delivered || seq <= (peer_delivered_seq ?? 0) ? 'delivered' : 'sent'
  }

  #nameOf({ from_user_id, from_username }) {
    return this.app.model.nameOf(from_user_id, from_username)
  }

  #lastOwn() {
    return this.thread.messages.findLast((one) => one.from_user_id === this.app.model.me.user_id && one.kind === 'text' && !one.recalled_at && !one.forwarded_from && this.app.rules.mayEdit(one))
  }

  // The head

  #drawHead() {
    const { app: { model }, conversation } = this
    const title = titleOf(model, conversation)
    const person = conversation.peer && model.people.get(conversation.peer.user_id)
    const href = conversation.peer ? `#/u/${conversation.peer.user_id}` : this.isGroup ? `#/g/${conversation.id}` : null
    const who = [avatar({ name: title, id: conversation.peer?.user_id ?? conversation.id, url: person?.avatar_url ?? conversation.avatar_url, status: person?.status ?? null }),
      h('span', { class: 'head-name' }, h('h1', {}, title), h('span', { class: 'head-sub' }, this.#sub(person)))]
    const key = JSON.stringify([title, person?.status, person?.text, person?.avatar_url, conversation.avatar_url, this.#sub(person)])
    if (this.headKey === key) return
    this.headKey = key
    const more = iconButton('more', t('conversation.more'), () => this.#headMenu(more), { 'aria-haspopup': 'menu' })
    fill(this.head, iconButton('back', t('back'), () => this.app.router.go(''), { class: 'icon-button only-narrow' }),
      href === null ? h('span', { class: 'head-who' }, who) : h('a', { class: 'head-who', href }, who),
      iconButton('search', t('conversation.search'), () => this.app.router.go(`search?conversation=${conversation.id}`)), more)
  }

  #sub(person) {
    const { model } = this.app
    const typists = model.typists(this.conversation.id).map((one) => model.nameOf(one))
    if (typists.length > 0) return this.isGroup ? t('conversation.typing', { names: typists.join(', '), n: typists.length }) : t('typing')
    if (this.isGroup && this.conversation.has_left) return ''
    if (this.isGroup) return t('conversation.members', { n: this.conversation.member_count ?? this.#members.length })
    if (!person) return ''
    if (person.status !== 'offline') return person.text || t(`status.${person.status}`)
    return person.last_seen ? t('status.seen', { ago: ago(person.last_seen) }) : t('status.offline')
  }

  #headMenu(anchor) {
    const { app, conversation } = this
    const set = (fields) => app.connection.change('conversation_set', { conversation_id: conversation.id, ...fields })
      .then((now) => app.model.update(conversation.id, { silent: now.silent, pinned: now.pinned })).catch(explain)
    menu(anchor, [
      this.isGroup && { label: t('conversation.group'), icon: 'people', act: () => app.router.go(`g/${conversation.id}`) },
      conversation.peer && { label: t('conversation.profile'), icon: 'people', act: () => app.router.go(`u/${conversation.peer.user_id}`) },
      { label: t('conversation.files'), icon: 'file', act: () => files(app, conversation.id) },
      { label: t(conversation.silent ? 'conversation.loud' : 'conversation.silent'), icon: conversation.silent ? 'bell' : 'silent', act: () => set({ silent: !conversation.silent }) },
      { label: t(conversation.pinned ? 'conversation.unpin' : 'conversation.pin'), icon: 'pin', act: () => set({ pinned: !conversation.pinned }) },
    ], t('conversation.more'))
  }

  // The foot: where one writes, or why one cannot.

  #drawFoot() {
    const { model, rules } = this.app
    const { has_left, kind, peer } = this.conversation
    const reason = has_left ? t('conversation.left') : null
    const hint = kind === 'direct' && peer && model.knowsFriends && !model.friends.has(peer.user_id) && !rules.withStrangers ? t('conversation.noFriends', { name: titleOf(model, this.conversation) }) : null
    if (this.footKey === JSON.stringify([reason, hint])) return
    this.footKey = JSON.stringify([reason, hint])
    if (reason !== null) refill(this.foot, h('p', { class: 'foot-note' }, reason))
    else refill(this.foot, this.composer.element, hint !== null && h('p', { class: 'foot-note' }, hint, ' ', h('a', { href: `#/u/${peer.user_id}` }, t('conversation.profile'))))
  }

  #send(fields, file) {
    this.app.outbox.send(this.conversation.id, fields, file)
    this.timeline.update()
    this.timeline.toEnd()
  }

  #atEnd() {
    this.#more = 0
    this.#jump()
    if (!document.hidden && document.hasFocus() && this.element.isConnected) this.app.receipts.read(this.conversation)
  }

  #jump() {
    this.down.hidden = this.timeline.isAtEnd
    fill(this.down, icon('down'), this.#more > 0 ? t('conversation.new', { n: this.#more }) : h('span', { class: 'hidden-text' }, t('conversation.toEnd')))
  }

  async #loadMembers() {
    const { app: { model }, conversation: { id } } = this
    try {
      const members = await this.app.members(id)
      this.#members = members.filter(({ user_id }) => user_id !== model.me.user_id)
        .map(({ user_id, username }) => ({ username, name: model.nameOf(user_id, username) }))
    } catch (problem) {
      if (problem.code !== 'not_member') explain(problem)
    }
  }

  // What can be done with a message

  #menu(message, anchor) {
    const { app, conversation } = this
    const mine = message.from_user_id === app.model.me.user_id
    const isAdmin = ['admin', 'owner'].includes(conversation.role)
    const alive = !message.recalled_at
    const writes = alive && !conversation.has_left
    this.menuOf = message.id
    const recalls = mine ? isAdmin || conversation.kind === 'self' || app.rules.mayRecall(message) : isAdmin
    menu(anchor, [
      writes && { label: t('message.reply'), icon: 'reply', act: () => this.composer.reply(message) },
      writes && { label: t('message.react'), icon: 'emoji', act: () => this.#pickReaction(message, anchor) },
      alive && message.content && { label: t('message.copy'), icon: 'copy', act: () => copy(message.content).then((done) => done && note(t('message.copied'))) },
      alive && { label: t('message.forward'), icon: 'forward', act: () => this.#forward(message) },
      writes && mine && ['text', 'image', 'video', 'voice', 'file'].includes(message.kind) && !message.forwarded_from && app.rules.mayEdit(message) && { label: t('message.edit'), icon: 'edit', act: () => this.composer.change(message) },
      writes && (!this.isGroup || isAdmin) && { label: t(message.pinned ? 'message.unpin' : 'message.pin'), icon: 'pin', act: () => this.#do('pin', { message_id: message.id, conversation_id: conversation.id, on: !message.pinned }) },
      message.edited_at && alive && { label: t('message.edits'), icon: 'clock', act: () => edits(app, message) },
      mine && alive && this.isGroup && { label: t('message.receipts'), icon: 'checks', act: () => receipts(app, message) },
      writes && recalls && { label: t('message.recall'), icon: 'recall', danger: true, act: () => this.#recall(message) },
      { label: t('message.delete'), icon: 'trash', danger: true, act: () => this.#delete(message) },
    ], t('message.actions'), writes ? (close) => this.#quick(message, close) : null)
  }

  // The reactions that are used most.
  #quick(message, close) {
    return h('div', { class: 'quick', role: 'group', 'aria-label': t('message.react') }, quickEmoji.map((emoji) =>
      h('button', { type: 'button', class: 'quick-emoji', on: { click: () => { close(); this.#react(message, emoji, true) } } }, emoji)))
  }

  #do(op, fields) {
    return this.app.connection.change(op, fields).catch(explain)
  }

  #react(message, emoji, on) {
    return this.#do('react', { message_id: message.id, emoji, on })
  }

  #pickReaction(message, anchor) {
    emojiPicker(anchor, (emoji) => this.#react(message, emoji, true))
  }

  async #forward(message) {
    const { pickTargets } = await import('../people_picker.js')
    const target = await pickTargets(this.app, { title: t('message.forward') })
    if (target === null) return
    await this.app.connection.change('forward', { message_id: message.id, ...target }).then(() => note(t('message.forwardedNote')), explain)
    this.app.connection.sync()
  }

  async #recall(message) {
    if (await confirm(t('message.recallAsk'), { detail: t('message.recallDetail'), yes: t('message.recall') })) this.#do('recall', { message_id: message.id })
  }

  async #delete(message) {
    if (await confirm(t('message.deleteAsk'), { detail: t('message.deleteDetail'), yes: t('message.delete') })) this.#do('delete', { message_id: message.id })
  }

  // What is pinned: the newest, and all of them on a click.
  async #loadPins() {
    try {
      const { messages } = await this.app.connection.ask('pins', { conversation_id: this.conversation.id, limit: 2 })
      const [first] = messages
      this.pinned.hidden = first === undefined
      if (first === undefined) return
      fill(this.pinned, icon('pin'), h('button', { type: 'button', class: 'pinned-text', on: { click: () => this.timeline.show(first.seq) } }, h('strong', {}, this.#nameOf(first)), ' ', preview(first)),
        messages.length > 1 && h('button', { type: 'button', class: 'quiet', on: { click: () => pins(this.app, this.conversation.id, ({ seq }) => this.timeline.show(seq)) } }, t('conversation.pins')))
    } catch {
      // It is not important enough to complain.
    }
  }

  #rowOf(target) {
    const key = target.closest?.('.message article')?.dataset.id
    return key === undefined ? undefined : this.thread.byId(Number(key))
  }

  #contextmenu(event) {
    if (event.target.closest('a, img, video') || String(getSelection()) !== '') return
    const message = this.#rowOf(event.target)
    if (message === undefined) return
    event.preventDefault()
    this.#menu(message, { x: event.clientX, y: event.clientY })
  }

  #key(event) {
    const row = event.target.matches?.('.message') ? event.target : null
    if (row !== null && ['Enter', 'ContextMenu'].includes(event.key)) {
      const message = this.#rowOf(row.querySelector('article') ?? row)
      if (message === undefined) return
      event.preventDefault()
      this.#menu(message, row.querySelector('.actions-more button'))
    } else if (event.key === 'Escape' && (row !== null || event.target === this.timeline.element)) {
      this.composer.focus()
    }
  }
}
