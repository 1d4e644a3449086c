// A message as it is shown: who, what, when, and what became of it.

import { attachment, pendingAttachment } from './attachments.js'
import { avatar } from './avatar.js'
import { h, icon, iconButton } from './dom.js'
import { language, t } from './language.js'
import { preview } from './preview.js'
import { isEmoji, linked, place } from './text.js'
import { clock, full } from './time.js'

// `does` is what can be done: { menu(message, anchor), react(message, emoji, on), reply(message), show(id), cancel(entry),
// retry(entry) }. `flags`: { continues, tick, isGroup, name, face }.
export function messageOf(app, message, flags, does) {
  if (message.kind === 'notice') return h('p', { class: 'notice' }, noticeText(app.model, message))
  const mine = message.from_user_id === app.model.me.user_id
  const name = flags.name
  const bubble = h('div', { class: `bubble${isLarge(message) ? ' bubble-emoji' : ''}${message.recalled_at ? ' bubble-recalled' : ''}` },
    !mine && flags.isGroup && !flags.continues && h('a', { class: 'author', href: `#/u/${message.from_user_id}` }, name),
    message.forwarded_from && h('p', { class: 'forwarded' }, icon('forward'), t('message.forwarded', { name: message.forwarded_from.username })),
    message.reply_to && quote(app, message.reply_to, does),
    content(app, message),
    h('span', { class: 'meta' }, message.pinned && icon('pin'), message.edited_at && !message.recalled_at && h('span', {}, t('message.edited')),
      h('time', { datetime: message.created_at, title: full(message.created_at) }, clock(message.created_at)), mine && tick(flags.tick)))
  return h('article', { class: mine ? 'mine' : 'theirs', 'aria-label': `${mine ? t('message.me') : name}, ${clock(message.created_at)}`, dataset: { id: message.id } },
    !mine && flags.isGroup && (flags.continues ? h('span', { class: 'avatar-space' })
      : h('a', { href: `#/u/${message.from_user_id}`, class: 'face', tabindex: '-1', 'aria-hidden': 'true' }, avatar({ name, id: message.from_user_id, url: flags.face }, 'small'))),
    h('div', { class: 'bubble-column' }, bubble, reactions(message, does)),
    !message.recalled_at && h('div', { class: 'actions' },
      iconButton('emoji', t('message.react'), (event) => does.pickReaction(message, event.currentTarget), { tabindex: '-1' }),
      iconButton('reply', t('message.reply'), () => does.reply(message), { tabindex: '-1' })),
    h('div', { class: 'actions actions-more' }, iconButton('more', t('message.actions'), (event) => does.menu(message, event.currentTarget), { 'aria-haspopup': 'menu', tabindex: '-1' })))
}

// One that is not sent yet.
export function pendingOf(app, entry, does) {
  const { fields, state, error } = entry
  const failed = state === 'failed'
  const body = entry.name === null && !entry.file ? h('p', { class: 'text' }, linked(fields.content ?? ''))
    : [pendingAttachment(entry, { cancel: () => does.cancel(entry) }), fields.content && h('p', { class: 'text' }, linked(fields.content))]
  return h('article', { class: failed ? 'mine failed' : 'mine sending', 'aria-label': t(failed ? 'message.failed' : 'message.sending'), dataset: { client: entry.client_id } },
    h('div', { class: 'bubble-column' },
      h('div', { class: 'bubble' }, fields.reply_to && quote(app, fields.reply_to, does, entry.conversation_id), body,
        h('span', { class: 'meta' }, h('time', { datetime: entry.created_at }, clock(entry.created_at)), tick(failed ? 'failed' : 'sending'))),
      failed && h('p', { class: 'failure', role: 'alert' }, error ?? t('message.failed'), ' ',
        h('button', { type: 'button', class: 'link', on: { click: () => does.retry(entry) } }, t('message.retry')), ' · ',
        h('button', { type: 'button', class: 'link', on: { click: () => does.cancel(entry) } }, t('message.discard')))))
}

function isLarge(message) {
  return message.kind === 'text' && !message.recalled_at && isEmoji(message.content)
}

function content(app, message) {
  if (message.recalled_at) return h('p', { class: 'text' }, t('message.recalled'))
  const names = [...message.mentions.map(({ username }) => username), ...(message.mentions_all ? ['all'] : [])]
  switch (message.kind) {
    case 'text':
      return h('p', { class: 'text' }, linked(message.content, names))
    case 'location': {
      const { name, href } = place(message.content)
      return href === null ? h('p', { class: 'text' }, name)
        : h('a', { class: 'place', href, target: '_blank', rel: 'noopener noreferrer' }, icon('place'), name)
    }
    case 'card':
      return h('button', { type: 'button', class: 'contact', on: { click: () => open(app, message.content) } },
        avatar({ name: message.content, id: 1 }, 'small'), h('span', {}, message.content, h('small', {}, t('kind.card'))))
    case 'encrypted':
      return h('p', { class: 'text soft' }, icon('lock'), t('kind.encrypted'))
    default:
      return [attachment(app, message), message.content && h('p', { class: 'text' }, linked(message.content, names))]
  }
}

async function open(app, username) {
  const { user_id } = await app.connection.ask('profile', { user: username })
  app.router.go(`u/${user_id}`)
}

function quote(app, id, does, conversationId = null) {
  const message = does.find(id, conversationId)
  return h('button', { type: 'button', class: 'quote', on: { click: () => does.show(id) } },
    message && h('strong', {}, app.model.nameOf(message.from_user_id, message.from_username)),
    h('span', {}, message ? preview(message) : t('message.earlier')))
}

function reactions(message, does) {
  if (!message.reactions?.length) return null
  return h('div', { class: 'reactions' }, message.reactions.map(({ emoji, count, mine }) =>
    h('button', { type: 'button', class: 'reaction', 'aria-pressed': String(mine), 'aria-label': t('message.reactions', { emoji, n: count }),
      on: { click: () => does.react(message, emoji, !mine) } }, emoji, h('span', {}, String(count)))))
}

const TICKS = { sending: 'clock', failed: 'warning', sent: 'check', delivered: 'checks', read: 'checks' }

function tick(state) {
  return h('span', { class: `tick tick-${state}`, title: t(`tick.${state}`) }, icon(TICKS[state]), h('span', { class: 'hidden-text' }, t(`tick.${state}`)))
}

// What a log's entry about the group says.
function noticeText(model, { event, data }) {
  const by = model.nameOf(data.by_user_id, data.by_username)
  if (event === 'group') {
    if (data.action === 'changed' && data.title !== null) return t('notice.title', { by, title: data.title })
    return t(`notice.${data.action}`, { by })
  }
  const names = data.users.map(({ user_id, username }) => model.nameOf(user_id, username))
  const who = new Intl.ListFormat(language).format(names)
  const alone = data.users.length === 1 && data.users[0].user_id === data.by_user_id
  if (data.action === 'role') return t(`notice.role.${data.role}`, { by, who })
  return t(`notice.${data.action}${alone && data.action === 'joined' ? '.self' : ''}`, { by, who })
}
