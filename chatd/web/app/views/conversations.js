// The list of conversations: who, what was said last, when, and what is unread.

import { avatar } from '../avatar.js'
import { fill, h, icon, iconButton } from '../dom.js'
import { menu } from '../dialog.js'
import { t } from '../language.js'
import { preview } from '../preview.js'
import { refill } from '../rows.js'
import { short } from '../time.js'

export function conversations(app, params, signal) {
  const { model, router } = app
  const list = h('ul', { class: 'list', 'aria-label': t('part.chats') })
  const filter = h('input', { type: 'search', placeholder: t('chats.filter'), 'aria-label': t('chats.filter') })
  const rows = new Map()
  let waiting = false

  function draw() {
    waiting = false
    const wanted = filter.value.trim().toLocaleLowerCase()
    const shown = [...model.conversations.values()].filter((one) => isShown(one)).map((one) => ({ one, title: titleOf(model, one) }))
      .filter(({ title }) => title.toLocaleLowerCase().includes(wanted))
      .sort((a, b) => b.one.pinned - a.one.pinned || (b.one.last_at ?? '').localeCompare(a.one.last_at ?? ''))
    const drawn = shown.map(({ one, title }) => row(one, title))
    if (drawn.length === 0) {
      fill(list)
      fill(none, wanted !== '' ? h('p', {}, t('chats.noneFound')) : model.isKnown && welcome())
    } else {
      const focused = list.contains(document.activeElement) ? document.activeElement : null
      fill(none)
      drawn.forEach((element, at) => { if (list.children[at] !== element) list.insertBefore(element, list.children[at] ?? null) })
      while (list.children.length > drawn.length) list.lastElementChild.remove()
      if (focused?.isConnected) focused.focus({ preventScroll: true }) // what is moved loses it
    }
    mark()
  }

  // The row of a conversation, drawn again only where something in it has changed.
  function row(one, title) {
    const last = one.last_message
    const pending = model.thread(one.id).pending.at(-1)
    const typists = model.typists(one.id)
    const status = one.peer ? (model.people.get(one.peer.user_id)?.status ?? null) : null
    const face = one.peer ? (model.people.get(one.peer.user_id)?.avatar_url ?? one.peer.avatar_url) : one.avatar_url
    const key = JSON.stringify([title, last?.id, last?.content, last?.recalled_at, pending?.client_id, pending?.state, typists, status, face, one.unread_count, one.silent, one.pinned, one.has_left, one.last_at && short(one.last_at)])
    const known = rows.get(one.id)
    if (known?.key === key) return known.element
    const element = known?.element ?? h('li', {})
    const from = one.kind === 'group' && last && last.from_user_id !== model.me.user_id ? `${model.nameOf(last.from_user_id, last.from_username)}: ` : ''
    const text = typists.length > 0 ? h('em', { class: 'typing-word' }, t('typing'))
      : pending ? [icon(pending.state === 'failed' ? 'warning' : 'clock'), pending.fields.content || t(`kind.${pending.fields.kind ?? 'text'}`)]
        : last ? from + preview(last) : t('chats.nothingYet')
    const id = one.peer?.user_id ?? one.id
    refill(element, h('a', { class: one.unread_count > 0 ? 'row row-unread' : 'row', href: `#/c/${one.id}` },
      avatar({ name: title, id, url: face, status }),
      h('span', { class: 'row-main' }, h('span', { class: 'row-title' }, title),
        one.silent && icon('silent'), one.pinned && icon('pin'), h('time', { datetime: one.last_at ?? '' }, one.last_at ? short(one.last_at) : '')),
      h('span', { class: 'row-sub' }, h('span', { class: 'row-text' }, text),
        one.unread_count > 0 && h('span', { class: one.silent ? 'badge badge-quiet' : 'badge' }, one.unread_count > 99 ? '99+' : String(one.unread_count), h('span', { class: 'hidden-text' }, t('unread', { n: one.unread_count }))))))
    rows.set(one.id, { key, element })
    return element
  }

  function isShown(one) {
    if (one.kind === 'self') return one.last_message !== null && one.last_message !== undefined
    return !(one.has_left && one.last_message === null)
  }

  function mark() {
    const { name, params: { id } } = router.place
    for (const [key, { element }] of rows) {
      const link = element.firstElementChild
      if (['conversation', 'group'].includes(name) && id === String(key)) link.setAttribute('aria-current', 'true')
      else link.removeAttribute('aria-current')
    }
  }

  function welcome() {
    return h('div', { class: 'empty' }, icon('people'), h('h2', {}, t('chats.welcome')), h('p', {}, t('chats.welcome.hint')),
      h('a', { class: 'button primary', href: '#/friends' }, t('chats.findPeople')))
  }

  function soon() {
    if (waiting) return
    waiting = true
    requestAnimationFrame(draw)
  }

  // Up and down go from row to row.
  list.addEventListener('keydown', (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (step === undefined) return
    event.preventDefault()
    const links = [...list.querySelectorAll('a')]
    links[links.indexOf(document.activeElement) + step]?.focus()
  })
  filter.addEventListener('input', draw)
  filter.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') list.querySelector('a')?.click()
    if (event.key === 'ArrowDown') list.querySelector('a')?.focus()
    if (event.key === 'Escape') { filter.value = ''; draw() }
  })
  const none = h('div', {})
  const add = iconButton('plus', t('chats.new'), () => menu(add, [
    { label: t('chats.newGroup'), icon: 'people', act: async () => (await import('./new_group.js')).newGroup(app) },
    { label: t('chats.addFriend'), icon: 'plus', act: () => router.go('friends') },
    { label: t('chats.notes'), icon: 'edit', act: () => { const own = model.direct(model.me.user_id); if (own) router.go(`c/${own.id}`) } },
  ], t('chats.new')))
  for (const what of ['conversations', 'people', 'typing', 'friends', 'profile']) model.on(what, soon, { signal })
  router.on('moved', mark, { signal })
  const element = h('div', { class: 'pane' },
    h('header', { class: 'pane-head' }, h('h1', {}, t('part.chats')), add),
    h('div', { class: 'pane-filter' }, icon('search'), filter), h('div', { class: 'scroll' }, list, none))
  draw()
  return element
}

// What a conversation is called.
export function titleOf(model, conversation) {
  if (conversation.kind === 'self') return t('chats.notes')
  if (conversation.kind === 'group') return conversation.title ?? ''
  return model.nameOf(conversation.peer?.user_id, conversation.peer?.nickname || conversation.peer?.username || '')
}
