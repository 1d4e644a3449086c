// The people one knows, those who want to be known, and the way to others: people and groups by name.

import { avatar } from '../avatar.js'
import { byName, friendsOf, isMeant } from '../chooser.js'
import { explain, menu } from '../dialog.js'
import { fill, h, icon, iconButton } from '../dom.js'
import { answer, askToBeFriends, sentRequests } from '../friendship.js'
import { join } from '../joining.js'
import { t } from '../language.js'
import { Rows } from '../rows.js'
import { seen } from '../seen.js'
import { newGroup } from './new_group.js'

const PAUSE = 350 // ms without typing after which the server is asked
const PEOPLE = 20
const GROUPS = 10
const FACES = 20 // requests whose people are asked for what they look like

export function friends(app, params, signal) {
  const { model, connection, router } = app
  const filter = h('input', { type: 'search', placeholder: t('friends.search'), 'aria-label': t('friends.search'), maxlength: 64, autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false' })
  const status = h('p', { class: 'list-note', role: 'status' })
  const none = h('div', {})
  const parts = {
    requests: partOf(), sent: partOf(), online: partOf(), offline: partOf(), friends: partOf(), people: partOf(), groups: partOf(),
  }
  const met = new Set()
  const asked = new Set() // groups that have my request since they were found
  let sent = []
  let found = null // { q, users, groups, more } as the server answered
  let timer = null
  let waiting = false

  function draw() {
    waiting = false
    const q = wanted()
    const isSearch = q !== ''
    const everybody = friendsOf(model)
    const isThere = ({ status: shown }) => shown !== 'offline'
    show('requests', t('friends.received'), isSearch ? [] : model.requests.map(request), drawRequest)
    show('sent', t('friends.sent'), isSearch ? [] : sent.map(request), drawSent)
    show('online', t('friends.online'), isSearch ? [] : everybody.filter(isThere).map(friend), drawFriend)
    show('offline', t('friends.offline'), isSearch ? [] : everybody.filter((one) => !isThere(one)).map(friend), drawFriend)
    show('friends', t('part.friends'), isSearch ? everybody.filter((one) => isMeant(one, q)).map(friend) : [], drawFriend)
    const { users = [], groups = [] } = isSearch && found !== null ? found : {}
    show('people', t('friends.people'), users.filter(({ user_id }) => !model.friends.has(user_id)).map(stranger), drawStranger)
    show('groups', t('friends.groups'), groups.map(groupItem), drawGroup)
    drawStatus(q)
    const isEmpty = !isSearch && model.knowsFriends && everybody.length + model.requests.length + sent.length === 0
    fill(none, isEmpty && h('div', { class: 'empty' }, icon('people'), h('h2', {}, t('chats.welcome')), h('p', {}, t('friends.hint'))))
    mark()
  }

  function drawStatus(q) {
    if (q === '') status.textContent = ''
    else if (found?.q !== q) status.textContent = t('friends.searching')
    else {
      const n = Object.values(parts).reduce((sum, { list }) => sum + list.childElementCount, 0)
      status.textContent = n === 0 ? t('friends.noneFound') : [t('friends.found', { n }), found.more ? t('friends.typeMore') : ''].join(' ')
    }
  }

  function wanted() {
    return filter.value.trim().replace(/^@/, '')
  }

  // What is shown of each: a row is drawn again when one of these has changed.

  function friend({ user_id: id, username, avatar_url, status: shown, text, last_seen }) {
    return { id, username, name: model.nameOf(id), avatar_url, status: shown, words: seen({ status: shown, text, last_seen }) }
  }
  function request(one) {
    const mine = one.from_user_id === model.me.user_id
    const id = mine ? one.to_user_id : one.from_user_id
    const username = mine ? one.to_username : one.from_username
    return { id, request_id: one.request_id, username, name: model.nameOf(id, username), avatar_url: model.people.get(id)?.avatar_url ?? null, note: one.note }
  }
  function stranger({ user_id: id, username, nickname, avatar_url }) {
    const received = model.requests.find(({ from_user_id }) => from_user_id === id)
    const state = id === model.me.user_id ? 'me' : received ? 'received' : sent.some(({ to_user_id }) => to_user_id === id) ? 'sent' : 'none'
    return { id, username, name: nickname || username, avatar_url, state, request_id: received?.request_id ?? null }
  }
  function groupItem({ conversation_id: id, title, joining, member_count, avatar_url, role, asked: hasAsked }) {
    const state = role !== null || model.conversations.get(id)?.has_left === false ? 'in' : hasAsked || asked.has(id) ? 'asked' : 'out'
    return { id, title, joining, member_count, avatar_url, state }
  }

  // Rows

  function face({ id, name, username, avatar_url, status: shown = null }, sub) {
    return h('a', { class: 'row', href: `#/u/${id}` }, avatar({ name, id, url: avatar_url, status: shown }),
      h('span', { class: 'row-main' }, h('span', { class: 'row-title' }, name), name !== username && sub !== `@${username}` && h('span', { class: 'row-handle' }, `@${username}`)),
      h('span', { class: 'row-sub' }, h('span', { class: 'row-text' }, sub)))
  }
  function drawFriend(one) {
    return face(one, one.words)
  }
  function drawRequest(one) {
    return h('div', { class: 'request' }, face(one, `@${one.username}`),
      one.note !== '' && h('p', { class: 'request-note' }, one.note),
      h('div', { class: 'request-choices' },
        h('button', { type: 'button', class: 'primary', 'aria-label': t('friends.acceptOf', one), on: { click: () => respond(one, true) } }, t('friends.accept')),
        h('button', { type: 'button', 'aria-label': t('friends.rejectOf', one), on: { click: () => respond(one, false) } }, t('friends.reject'))))
  }
  function drawSent(one) {
    return h('div', { class: 'row-line' }, face(one, one.note || t('friends.pending')),
      h('button', { type: 'button', class: 'quiet', 'aria-label': t('friends.withdrawOf', one), on: { click: () => respond(one, false) } }, t('friends.withdraw')))
  }
  function drawStranger(one) {
    return h('div', { class: 'row-line' }, face(one, `@${one.username}`), {
      me: () => h('span', { class: 'row-state' }, t('friends.you')),
      sent: () => h('span', { class: 'row-state' }, t('friends.requested')),
      received: () => h('button', { type: 'button', class: 'primary', 'aria-label': t('friends.acceptOf', one), on: { click: () => respond(one, true) } }, t('friends.accept')),
      none: () => h('button', { type: 'button', 'aria-label': t('friends.addOf', one), on: { click: () => askToBeFriends(app, { user_id: one.id, name: one.name }) } }, t('friends.add')),
    }[one.state]())
  }
  function drawGroup(one) {
    const { id, title, member_count: n } = one
    return h('div', { class: 'row-line' },
      h('a', { class: 'row', href: `#/g/${id}` }, avatar({ name: title, id, url: one.avatar_url }),
        h('span', { class: 'row-main' }, h('span', { class: 'row-title' }, title)),
        h('span', { class: 'row-sub' }, h('span', { class: 'row-text' }, t('group.members', { n })))), {
        in: () => h('a', { class: 'button quiet', href: `#/c/${id}`, 'aria-label': t('friends.openOf', { name: title }) }, t('friends.open')),
        asked: () => h('span', { class: 'row-state' }, t('friends.requested')),
        out: () => h('button', { type: 'button', 'aria-label': one.joining === 'open' ? t('friends.joinOf', { name: title }) : t('group.askTitle', { title }), on: { click: () => come(one) } }, t(one.joining === 'open' ? 'group.join' : 'group.ask')),
      }[one.state]())
  }

  // Doing

  function respond({ request_id }, accept) {
    answer(app, request_id, accept).catch(explain)
  }
  async function come({ id, title, joining }) {
    try {
      if (await join(app, { conversation_id: id, title, joining }) === 'pending') asked.add(id)
      draw()
    } catch (problem) {
      explain(problem)
    }
  }
  async function search(q) {
    const [people, groups] = await Promise.all([
      connection.ask('user_search', { q, limit: PEOPLE }), connection.ask('group_search', { q, limit: GROUPS }),
    ])
    if (signal.aborted || wanted() !== q) return
    found = { q, users: byName(model, people.users), groups: groups.groups, more: people.more || groups.more }
    draw()
  }
  function type({ now = false } = {}) {
    clearTimeout(timer)
    const q = wanted()
    if (q === '') found = null
    else if (found?.q !== q) timer = setTimeout(() => search(q).catch(explain), now ? 0 : PAUSE)
    draw()
  }
  async function load() {
    sent = await sentRequests(app)
    if (!signal.aborted) draw()
  }
  // Requests come with a username alone: who asks is looked at once, with face and nickname.
  function meet() {
    const ids = [...model.requests, ...sent].map(({ from_user_id, to_user_id }) => (from_user_id === model.me.user_id ? to_user_id : from_user_id))
    for (const user_id of ids.slice(0, FACES)) {
      if (met.has(user_id) || model.friends.has(user_id)) continue
      met.add(user_id)
      connection.ask('profile', { user_id }).then(({ username, nickname, avatar_url }) => model.meet({ user_id, username, nickname, avatar_url })).catch(() => {})
    }
  }
  function asksAgain() {
    load().then(meet).catch(explain)
  }

  // Looking

  function show(name, title, items, drawRow) {
    const { element, heading, rows } = parts[name]
    element.hidden = items.length === 0
    fill(heading, title, ' ', items.length > 0 && h('span', { class: 'list-count' }, String(items.length)))
    rows.show(items, drawRow)
  }
  function mark() {
    const { name, params: { id } } = router.place
    const own = { person: `#/u/${id}`, group: `#/g/${id}` }[name]
    for (const link of scroll.querySelectorAll('a.row')) {
      if (link.getAttribute('href') === own) link.setAttribute('aria-current', 'true')
      else link.removeAttribute('aria-current')
    }
  }
  function soon() {
    if (waiting) return
    waiting = true
    requestAnimationFrame(draw)
  }
  function links() {
    return [...scroll.querySelectorAll('a.row')].filter((link) => link.closest('[hidden]') === null)
  }

  filter.addEventListener('input', () => type())
  filter.addEventListener('keydown', ({ key }) => {
    if (key === 'ArrowDown') links()[0]?.focus()
    if (key === 'Escape') { filter.value = ''; type() }
    if (key === 'Enter') {
      if (found?.q === wanted() || wanted() === '') links()[0]?.click()
      else type({ now: true })
    }
  })
  const scroll = h('div', { class: 'scroll', tabindex: '-1' }, status, Object.values(parts).map(({ element }) => element), none)
  scroll.addEventListener('keydown', (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (step === undefined) return
    event.preventDefault()
    const all = links()
    const row = document.activeElement.closest('li')?.querySelector('a.row')
    ;(all[all.indexOf(row) + step] ?? (step === -1 ? filter : all.at(-1)))?.focus()
  })
  for (const what of ['people', 'friends', 'conversations']) model.on(what, soon, { signal })
  model.on('requests', asksAgain, { signal })
  router.on('moved', mark, { signal })
  signal.addEventListener('abort', () => clearTimeout(timer))
  const add = iconButton('plus', t('chats.new'), () => menu(add, [
    { label: t('chats.addFriend'), icon: 'search', act: () => filter.focus() },
    { label: t('chats.newGroup'), icon: 'people', act: () => newGroup(app) },
  ], t('chats.new')))
  const element = h('div', { class: 'pane' },
    h('header', { class: 'pane-head' }, h('h1', {}, t('part.friends')), add),
    h('div', { class: 'pane-filter' }, icon('search'), filter), scroll)
  draw()
  asksAgain()
  return element
}

// A list with a heading, there while it has rows.
function partOf() {
  const heading = h('h2', { class: 'list-head' })
  const list = h('ul', { class: 'list' })
  return { heading, list, rows: new Rows(list), element: h('section', { hidden: true }, heading, list) }
}
