// The page around what one looks at: where one can go on the left, a list beside it, and the stage.

import { avatar } from './avatar.js'
import { h, icon, fill } from './dom.js'
import { t } from './language.js'
import { Notices } from './notices.js'
import { conversations } from './views/conversations.js'
import { empty } from './views/empty.js'

// Addresses, by name: the first is where one begins.
export const ROUTES = {
  chats: '',
  conversation: 'c/:id/:seq?',
  group: 'g/:id',
  friends: 'friends',
  person: 'u/:id',
  moments: 'moments/:id?',
  momentsOf: 'u/:id/moments',
  search: 'search',
  settings: 'settings/:page?',
  join: 'join/:token',
}

// Views that are fetched when they are first looked at.
const conversation = async () => (await import('./views/conversation.js')).conversation
const friends = async () => (await import('./views/friends.js')).friends
const group = async () => (await import('./views/group.js')).group
const join = async () => (await import('./views/join.js')).join
const moments = async () => (await import('./views/moments.js')).moments
const momentsOf = async () => (await import('./views/moments.js')).momentsOf
const person = async () => (await import('./views/person.js')).person
const search = async () => (await import('./views/search.js')).search
const settings = async () => (await import('./views/settings.js')).settings
const chats = async () => conversations
const nothing = async () => empty

// What each shows: a list at the side (or none), and a view on the stage (or none: the list has the whole width of a
// narrow window). A view is a function of (app, params, signal) that gives an element; `signal` is aborted when it goes.
const VIEWS = {
  chats: { part: 'chats', side: chats },
  conversation: { part: 'chats', side: chats, stage: conversation },
  group: { part: 'chats', side: chats, stage: group },
  friends: { part: 'friends', side: friends },
  person: { part: 'friends', side: friends, stage: person },
  moments: { part: 'moments', stage: moments },
  momentsOf: { part: 'moments', stage: momentsOf },
  search: { part: 'search', side: search },
  settings: { part: 'settings', stage: settings },
  join: { part: 'chats', side: chats, stage: join },
}

const PARTS = [
  ['chats', '#/', 'chats'],
  ['friends', '#/friends', 'people'],
  ['moments', '#/moments', 'moments'],
  ['search', '#/search', 'search'],
  ['settings', '#/settings', 'settings'],
]

export function frame(app, { leave }) {
  app.leave = leave
  app.notices = new Notices(app)
  const rail = railOf(app)
  const side = h('section', { class: 'side' })
  const stage = h('section', { class: 'stage', tabindex: '-1' })
  const weather = weatherOf(app)
  const element = h('div', { class: 'frame' }, rail.element, h('main', {}, side, stage), weather)
  const slots = { side: slot(app, side), stage: slot(app, stage) }

  function show({ name, params }) {
    const { part, side: list = null, stage: view = null } = VIEWS[name]
    const kept = params.q !== undefined && name === 'conversation' ? search : list // a hit is shown beside the others
    element.dataset.part = part
    element.dataset.pane = view === null ? 'side' : 'stage'
    element.dataset.side = kept === null ? 'none' : 'some'
    rail.mark(kept === search ? 'search' : part)
    const isFree = kept === search || kept === null
    return Promise.all([
      slots.side(kept, isFree ? params : {}, ''),
      slots.stage(view ?? nothing, view === null ? { part } : params, `${name} ${JSON.stringify(params)}`),
    ])
  }

  // The root says when everything is drawn.
  let moves = 0
  async function move(place) {
    const move = ++moves
    document.documentElement.dataset.ready = 'false'
    await show(place)
    if (move === moves) document.documentElement.dataset.ready = 'true'
  }

  app.router.on('moved', (place) => {
    move(place)
    if (element.dataset.pane === 'stage') stage.focus({ preventScroll: true })
  }, { signal: app.stopped })
  move(app.router.place)
  return element
}

// A place for one view at a time. The function shows one; gives a promise for when it is drawn.
function slot(app, place) {
  let shown = null
  let abort = new AbortController()
  return async function go(load, params, key) {
    if (load === shown?.load && key === shown.key) {
      place.firstElementChild?.moved?.(params)
      return
    }
    shown = { load, key }
    abort.abort()
    abort = new AbortController()
    const { signal } = abort
    const view = await load?.().catch(() => unreachable(() => { shown = null; go(load, params, key) }))
    if (signal.aborted) return
    const element = view?.(app, params, signal)
    fill(place, element)
    await element?.drawn
  }
}

// What stands for a view that could not be fetched, until it can.
function unreachable(again) {
  return ({ connection }, params, signal) => {
    connection.on('state', (state) => { if (state === 'ready') again() }, { signal })
    return h('div', { class: 'empty' }, h('p', {}, t('offline')), h('button', { type: 'button', on: { click: again } }, t('message.retry')))
  }
}

function railOf(app) {
  const { model } = app
  const links = new Map(PARTS.map(([name, href, picture]) => {
    const badge = h('span', { class: 'badge' })
    return [name, { badge, link: h('a', { href, class: 'rail-link', title: t(`part.${name}`) }, icon(picture),
      h('span', { class: 'rail-name' }, t(`part.${name}`)), badge) }]
  }))
  const own = h('a', { href: `#/u/${model.me.user_id}`, class: 'rail-own', 'aria-label': t('part.me') })

  function count(name, number, label) {
    const { badge } = links.get(name)
    fill(badge, number > 0 && [h('span', { 'aria-hidden': 'true' }, number > 99 ? '99+' : String(number)), h('span', { class: 'hidden-text' }, t(label, { n: number }))])
  }
  function countAll() {
    const unread = [...model.conversations.values()].filter((one) => !one.silent).reduce((sum, one) => sum + one.unread_count, 0)
    count('chats', unread, 'unread')
    count('friends', model.requests.length, 'friends.waiting')
    count('moments', app.notices.unseen, 'moments.news')
  }
  function drawOwn() {
    fill(own, avatar({ name: model.nameOf(model.me.user_id), id: model.me.user_id, url: model.profile?.avatar_url }, 'small'))
  }
  for (const what of ['conversations', 'requests']) model.on(what, countAll)
  model.on('profile', drawOwn)
  app.notices.on('changed', countAll)
  countAll()
  drawOwn()
  return {
    element: h('nav', { class: 'rail', 'aria-label': t('part.all') }, [...links.values()].map(({ link }) => link), own),
    mark(part) {
      for (const [name, { link }] of links) {
        if (name === part) link.setAttribute('aria-current', 'page')
        else link.removeAttribute('aria-current')
      }
    },
  }
}

const DISCREET = 1500 // ms for which a lost connection is nobody's business

// A line that says when the server cannot be reached.
function weatherOf(app) {
  const line = h('p', { class: 'weather', role: 'status', hidden: true })
  let timer = null
  app.connection.on('state', (state) => {
    if (state === 'ready') {
      clearTimeout(timer)
      timer = null
      line.hidden = true
    } else {
      timer ??= setTimeout(() => { fill(line, t('weather.waiting')); line.hidden = false }, DISCREET)
    }
  })
  return line
}
