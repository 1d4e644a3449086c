// What a conversation or a message has more of than stands on the page, each in a dialog: files, pins, texts, receipts.

import { avatar } from '../avatar.js'
import { explain, open } from '../dialog.js'
import { h } from '../dom.js'
import { t } from '../language.js'
import { preview } from '../preview.js'
import { linked } from '../text.js'
import { full, instant } from '../time.js'

// The files in a conversation, the newest first.
export async function files(app, id) {
  const { attachment } = await import('../attachments.js')
  const draw = (one) => h('li', {},
    h('p', { class: 'hint' }, `${nameOf(app, one)} · ${instant(one.created_at)}`), attachment(app, { ...one, id: one.message_id, content: '' }))
  show(t('conversation.files'), draw, async (last) => {
    const { files: items, more } = await app.connection.ask('files', { conversation_id: id, ...before(last) })
    return { items, more, head: last === undefined && items.length === 0 && h('p', { class: 'soft' }, t('conversation.noFiles')) }
  })
}

// What is pinned to a conversation, the last one first; `go(message)` shows one where it stands.
export function pins(app, id, go) {
  const draw = (message) => h('li', {}, h('button', { type: 'button', class: 'quote', on: { click: () => { list.close(); go(message) } } },
    h('strong', {}, nameOf(app, message)), h('span', {}, preview(message))))
  const list = show(t('conversation.pinned'), draw, async (last) => {
    const { messages: items, more } = await app.connection.ask('pins', { conversation_id: id, ...before(last) })
    return { items, more }
  })
}

// The texts that a message has had.
export function edits(app, { id }) {
  const draw = ({ content, created_at }) => h('li', {},
    h('time', { class: 'hint', datetime: created_at }, full(created_at)), h('p', { class: 'text' }, linked(content)))
  show(t('message.edits'), draw, async () => ({ items: (await app.connection.ask('edits', { message_id: id })).texts, more: false }))
}

// Who has received a message of mine, and who has read it.
export function receipts(app, { id }) {
  const draw = (one) => h('li', { class: 'line' }, avatar({ name: nameOf(app, one), id: one.user_id }, 'small'), h('span', {}, nameOf(app, one)),
    h('span', { class: 'soft' }, t(`tick.${one.is_read ? 'read' : one.is_delivered ? 'delivered' : 'sent'}`)))
  show(t('message.receipts'), draw, async (last) => {
    const fields = last === undefined ? {} : { after_username: last.username }
    const { members: items, more, ...counts } = await app.connection.ask('receipts', { message_id: id, ...fields })
    const words = { read: counts.read_count, delivered: counts.delivered_count, n: counts.member_count }
    return { items, more, head: last === undefined && h('p', { class: 'soft' }, t('message.receiptsCount', words)) }
  })
}

function before(last) {
  return last === undefined ? {} : { before_seq: last.seq }
}

function nameOf(app, { from_user_id, from_username, user_id = from_user_id, username = from_username }) {
  return app.model.nameOf(user_id, username)
}

// A list in a dialog, with a button for the next page. `ask(last)` gives { items, more, head? } after the last item that
// is there, `draw(item)` a row. Gives { close }.
function show(title, draw, ask) {
  const list = h('ul', { class: 'stack' })
  const next = h('button', { type: 'button', class: 'quiet', hidden: true, on: { click: () => page().catch(explain) } }, t('showMore'))
  let last
  async function page() {
    const { items, more, head = null } = await ask(last)
    if (head) list.before(head)
    list.append(...items.map(draw))
    if (!next.hidden) list.children[list.children.length - items.length]?.querySelector('a, button')?.focus()
    last = items.at(-1) ?? last
    next.hidden = !more
  }
  const opened = open(title, [list, next])
  page().catch((problem) => { opened.close(); explain(problem) })
  return opened
}
