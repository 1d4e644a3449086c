// Search: messages with all the words, newest first; and above them the people and conversations that are called so.

import { avatar } from '../avatar.js'
import { explain } from '../dialog.js'
import { fill, h, icon } from '../dom.js'
import { t } from '../language.js'
import { Problem } from '../problem.js'
import { snippet } from '../text.js'
import { full, short } from '../time.js'
import { titleOf } from './conversations.js'

const PAUSE = 350 // ms after the last key
const FEW = 4 // names above the messages
const FIELDS = ['q', 'in', 'from', 'after', 'before'] // in the address: what is looked for, and where

export function search(app, params, signal) {
  const { connection, model, router } = app
  const q = h('input', { type: 'search', name: 'q', maxlength: 200, placeholder: t('search.placeholder'), 'aria-label': t('search.placeholder'), autocomplete: 'off', enterkeyhint: 'search' })
  const where = h('select', { id: 'search-in', name: 'in' })
  const from = h('input', { id: 'search-from', name: 'from', list: 'search-people', maxlength: 64, autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false', placeholder: t('search.from.any') })
  const people = h('datalist', { id: 'search-people' })
  const after = h('input', { id: 'search-after', name: 'after', type: 'date' })
  const before = h('input', { id: 'search-before', name: 'before', type: 'date' })
  const inputs = { q, in: where, from, after, before }
  const filters = h('details', { class: 'search-filters' }, h('summary', {}, t('search.filters')),
    h('div', { class: 'search-fields' },
      labelled(where, t('search.in')), labelled(from, t('search.from')), people,
      h('div', { class: 'search-dates' }, labelled(after, t('search.after')), labelled(before, t('search.before'))),
      h('button', { type: 'button', class: 'quiet', on: { click: () => take({ q: q.value }) } }, t('search.clear'))))
  const names = h('ul', { class: 'list search-names', 'aria-label': t('search.names'), hidden: true })
  const hits = h('ul', { class: 'list', 'aria-label': t('search.messages') })
  const status = h('p', { class: 'search-status', role: 'status' })
  const behind = h('p', { class: 'search-behind', hidden: true }, icon('clock'), t('search.behind'))
  const hint = h('div', { class: 'empty only-narrow' }, icon('search'), h('p', {}, t('empty.search.hint')))
  const end = h('div', { class: 'search-end' })

  let asked = null // what the shown results are for, as text
  let busy = false
  let next = null
  let shown = 0
  let found = [] // { message, query, element }, as shown
  let timer = null

  function wanted() {
    return Object.fromEntries(FIELDS.map((name) => [name, inputs[name].value.trim()]).filter(([, value]) => value !== ''))
  }

  // Take what to look for from the address.
  function take(values) {
    for (const name of FIELDS) inputs[name].value = values[name] ?? ''
    const filtered = FIELDS.slice(1).filter((name) => inputs[name].value !== '')
    if (filtered.length > 0) filters.open = true
    begin()
  }

  function begin() {
    clearTimeout(timer)
    const query = wanted()
    filters.classList.toggle('search-filtered', Object.keys(query).some((name) => name !== 'q'))
    remember(query)
    drawNames(query.q ?? '')
    find()
  }

  // The address says what is looked for, so that one can come back to it.
  function remember(query) {
    const { name, params: known } = router.place
    if (!['search', 'conversation'].includes(name)) return
    if (FIELDS.every((field) => (known[field] ?? '') === (query[field] ?? ''))) return
    router.go(`search${addressed(query)}`, { replace: name === 'search' })
  }

  // One search at a time: what is typed meanwhile is looked for afterwards.
  async function find() {
    const query = wanted()
    const key = JSON.stringify(query)
    if (busy || key === asked) return
    asked = key
    if (query.q === undefined) {
      clear()
      return
    }
    busy = true
    try {
      const page = await connection.ask('search', fieldsOf(query))
      if (signal.aborted) return
      clear()
      show(page, query)
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem
      clear()
      hint.hidden = true
      fill(status, problem.field === 'from_user' ? t('search.nobody', { name: query.from }) : problem.message)
    } finally {
      busy = false
    }
    if (JSON.stringify(wanted()) !== asked) find()
  }

  function clear() {
    next = null
    shown = 0
    found = []
    fill(hits)
    fill(status)
    behind.hidden = true
    hint.hidden = wanted().q !== undefined
  }

  function show(page, query) {
    next = page.next
    shown += page.messages.length
    behind.hidden = page.complete
    for (const message of page.messages) {
      const drawn = { message, query, element: hit(message, query) }
      found.push(drawn)
      hits.append(drawn.element)
    }
    fill(status, shown === 0 && next === null ? t('search.none') : next === null ? t('search.found', { n: shown }) : t('search.foundMore', { n: shown }))
    mark()
    if (next !== null && (shown === 0 || near())) more().catch(explain)
  }

  async function more() {
    if (busy || next === null) return
    busy = true
    const key = asked
    const query = wanted()
    try {
      const page = await connection.ask('search', { ...fieldsOf(query), before_message_id: next })
      busy = false
      if (key === JSON.stringify(wanted()) && !signal.aborted) show(page, query)
    } finally {
      busy = false
    }
    if (key !== JSON.stringify(wanted())) find()
  }

  function near() {
    const { bottom, height } = scroll.getBoundingClientRect()
    return height > 0 && end.getBoundingClientRect().top < bottom + 200
  }

  function hit(message, query) {
    const conversation = model.conversations.get(message.conversation_id)
    const title = conversation === undefined ? '' : titleOf(model, conversation)
    const peer = conversation?.peer
    const mine = message.from_user_id === model.me.user_id
    const called = mine ? t('search.me') : model.nameOf(message.from_user_id, message.from_username)
    const face = peer ? model.people.get(peer.user_id)?.avatar_url ?? peer.avatar_url : conversation?.avatar_url
    const parts = message.snippet.length === 0 ? t(`kind.${message.kind}`) : snippet(readable(message))
    return h('li', {}, h('a', { class: 'row search-hit', href: `#/c/${message.conversation_id}/${message.seq}${addressed(query)}` },
      avatar({ name: title || '?', id: peer?.user_id ?? message.conversation_id, url: face }),
      h('span', { class: 'row-main' }, h('span', { class: 'row-title' }, title),
        h('time', { datetime: message.created_at, title: full(message.created_at) }, short(message.created_at))),
      h('span', { class: 'search-snippet' }, (mine || conversation?.kind === 'group') && h('span', { class: 'search-who' }, `${called}: `), parts)))
  }

  // Names and pictures have come: draw again what shows others.
  function rename() {
    drawChoices()
    drawNames(q.value.trim())
    for (const one of found) {
      const anew = hit(one.message, one.query)
      if (anew.textContent === one.element.textContent || one.element.contains(document.activeElement)) continue
      one.element.replaceWith(anew)
      one.element = anew
    }
    mark()
  }

  // Whom one knows, and what one is in, by name: these are known here.
  function drawNames(text) {
    const words = text.toLocaleLowerCase()
    const match = (...known) => words !== '' && known.some((name) => (name ?? '').toLocaleLowerCase().includes(words))
    const chats = [...model.conversations.values()].filter((one) => !one.peer && match(titleOf(model, one)))
      .sort((a, b) => (b.last_at ?? '').localeCompare(a.last_at ?? '')).slice(0, FEW)
      .map((one) => row(`#/c/${one.id}`, { name: titleOf(model, one), id: one.id, url: one.avatar_url },
        one.member_count === null ? t('search.conversation') : t('search.members', { n: one.member_count })))
    const persons = [...model.people.values()].filter((one) => one.user_id !== model.me.user_id && match(one.remark, one.nickname, one.username)).slice(0, FEW)
      .map((one) => {
        const name = model.nameOf(one.user_id, one.username)
        return row(`#/u/${one.user_id}`, { name, id: one.user_id, url: one.avatar_url, status: one.status }, `@${one.username}`)
      })
    const drawn = [...persons, ...chats]
    if (drawn.map((one) => one.textContent).join() === [...names.children].map((one) => one.textContent).join()) return
    fill(names, drawn)
    names.hidden = names.children.length === 0
    title.hidden = names.hidden
  }

  function row(href, face, below) {
    return h('li', {}, h('a', { class: 'row', href }, avatar(face),
      h('span', { class: 'row-main' }, h('span', { class: 'row-title' }, face.name)), h('span', { class: 'row-sub' }, below)))
  }

  function drawChoices() {
    const chosen = where.value || (router.place.params.in ?? '')
    const sorted = [...model.conversations.values()].map((one) => [String(one.id), titleOf(model, one)]).filter(([, name]) => name !== '')
      .sort(([, a], [, b]) => a.localeCompare(b))
    fill(where, h('option', { value: '' }, t('search.in.all')), sorted.map(([value, name]) => h('option', { value }, name)))
    where.value = sorted.some(([value]) => value === chosen) ? chosen : ''
    fill(people, [...model.people.values()].filter((one) => model.friends.has(one.user_id)).map((one) => h('option', { value: one.username }, model.nameOf(one.user_id))),
      h('option', { value: model.me.username }, model.nameOf(model.me.user_id)))
  }

  function mark() {
    const { name, params: { id, seq } } = router.place
    for (const link of hits.querySelectorAll('a')) {
      const isThere = name === 'conversation' && link.hash.startsWith(`#/c/${id}/${seq}?`)
      if (isThere) link.setAttribute('aria-current', 'true')
      else link.removeAttribute('aria-current')
    }
  }

  const soon = () => {
    clearTimeout(timer)
    timer = setTimeout(begin, PAUSE)
  }
  q.addEventListener('input', soon)
  from.addEventListener('input', soon)
  for (const input of [where, after, before]) input.addEventListener('change', begin)
  q.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && q.value !== '') {
      event.preventDefault()
      q.value = ''
      begin()
    }
  })

  const form = h('form', { role: 'search', class: 'search-form', on: { submit: (event) => { event.preventDefault(); begin() } } },
    h('div', { class: 'pane-filter' }, icon('search'), q), filters)
  const title = h('h2', { class: 'list-head', hidden: true }, t('search.names'))
  const scroll = h('div', { class: 'scroll', tabindex: '-1' }, title, names, status, behind, hits, hint, end)
  // Up and down go from row to row, and from the field to the first.
  const element = h('div', { class: 'pane' }, h('header', { class: 'pane-head' }, h('h1', {}, t('part.search'))), form, scroll)
  element.addEventListener('keydown', (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    const links = [q, ...scroll.querySelectorAll('a')]
    const at = links.indexOf(document.activeElement)
    if (step === undefined || at === -1) return
    const to = links[at + step]
    if (to === undefined) return
    event.preventDefault()
    to.focus()
  })
  const watch = new IntersectionObserver((entries) => { if (entries.some((one) => one.isIntersecting)) more().catch(explain) }, { root: scroll, rootMargin: '200px' })
  watch.observe(end)
  signal.addEventListener('abort', () => {
    watch.disconnect()
    clearTimeout(timer)
  })
  for (const what of ['conversations', 'friends']) model.on(what, rename, { signal })
  router.on('moved', mark, { signal })
  element.moved = (values) => { if (FIELDS.some((name) => (values[name] ?? '') !== inputs[name].value.trim())) take(values) }
  drawChoices()
  take(params)
  if (router.place.name === 'search') queueMicrotask(() => q.focus({ preventScroll: true }))
  return element
}

function labelled(input, label) {
  return h('div', { class: 'field' }, h('label', { for: input.id }, label), input)
}

// Where a place lies is not what somebody looks for: its name is.
function readable({ kind, snippet: [first, ...rest] }) {
  return kind === 'location' ? [{ ...first, text: first.text.replace(/^geo:\S+\s?/, '') }, ...rest] : [first, ...rest]
}

function addressed(query) {
  const text = new URLSearchParams(query).toString()
  return text === '' ? '' : `?${text}`
}

// The fields of `search`. Days are those of this browser's clock; both are meant to be in.
function fieldsOf({ q, in: conversation, from, after, before }) {
  const fields = { q }
  if (conversation !== undefined) fields.conversation_id = Number(conversation)
  if (from !== undefined) fields.from_user = from.replace(/^@/, '')
  if (after !== undefined) fields.after = new Date(`${after}T00:00`).toISOString()
  if (before !== undefined) fields.before = new Date(new Date(`${before}T00:00`).getTime() + 86_400_000).toISOString()
  return fields
}
