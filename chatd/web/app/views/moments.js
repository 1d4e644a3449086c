// Moments: what my friends and I tell, the newest first; or those of one person; or one alone.

import { iconButton, fill, h, icon } from '../dom.js'
import { explain } from '../dialog.js'
import { t } from '../language.js'
import { Problem } from '../problem.js'
import { composer } from './moment_composer.js'
import { moment as card } from './moment.js'

const PAGE = 10
const AHEAD = '800px' // the next page is asked for when this near
const EVERY = 60_000 // ms: nobody is told when a friend posts

export function moments(app, { id }, signal) {
  if (id !== undefined) return alone(app, Number(id), signal)
  return timeline(app, { op: 'moments', title: t('part.moments'), mine: true, none: ['moments.none', 'moments.none.hint'] }, signal)
}

// Those of one person.
export function momentsOf(app, { id }, signal) {
  const userId = Number(id)
  const { model } = app
  const mine = userId === model.me.user_id
  const title = () => (mine ? t('moments.mine') : t('moments.of', { name: model.nameOf(userId, '…') }))
  const element = timeline(app, {
    op: 'moments_of', fields: { user_id: userId }, title: title(), mine, back: `u/${userId}`,
    none: mine ? ['moments.none', 'moments.none.hint'] : ['moments.noneOf', 'moments.noneOf.hint'],
    found: ([first]) => { if (first) model.meet({ user_id: userId, username: first.username, nickname: first.nickname, avatar_url: first.avatar_url }) },
  }, signal)
  model.on('people', (who) => { if (who === userId) fill(element.querySelector('h1'), title()) }, { signal })
  return element
}

// `fields` of `op`; `mine` where one can post; `back` is the route that the view was reached from.
function timeline(app, { op, fields = {}, title, mine, back = null, none, found = () => {} }, signal) {
  const { connection, model } = app
  const cards = new Map() // moment_id → card
  const asked = new Map() // moment_id → whether it has changed again while it is asked for
  const list = h('div', { class: 'moments-list' })
  const end = h('div', { class: 'moments-end' })
  const news = h('div', {})
  let more = true
  let loading = false

  function put(moment) {
    const known = cards.get(moment.moment_id)
    if (known !== undefined) {
      known.update(moment)
      return
    }
    const made = card(app, moment, { signal })
    const next = [...cards].filter(([id]) => id < moment.moment_id).sort(([a], [b]) => b - a)[0]
    cards.set(moment.moment_id, made)
    list.insertBefore(made.element, next?.[1].element ?? null)
  }

  function drop(id) {
    cards.get(id)?.element.remove()
    cards.delete(id)
    tell()
  }

  // What stands at the end: that there is more, or nothing at all.
  function tell() {
    if (more) fill(end, h('p', { class: 'soft', role: 'status' }, t('moments.loading')))
    else if (cards.size === 0) fill(end, h('div', { class: 'empty' }, icon('moments'), h('h2', {}, t(none[0])), h('p', {}, t(none[1]))))
    else fill(end)
  }

  async function next() {
    if (loading || !more) return
    loading = true
    try {
      const before = cards.size === 0 ? {} : { before_moment_id: Math.min(...cards.keys()) }
      const page = await connection.ask(op, { ...fields, ...before, limit: PAGE })
      more = page.more
      if (before.before_moment_id === undefined) found(page.moments)
      page.moments.forEach(put)
    } catch (problem) {
      more = false
      explain(problem)
    } finally {
      loading = false
      tell()
    }
    if (more && near()) await next()
  }

  // The newest ones again, as they are now.
  async function refresh() {
    if (loading || cards.size === 0) return
    const page = await connection.ask(op, { ...fields, limit: PAGE })
    const oldest = page.moments.at(-1)?.moment_id ?? 0
    if (page.more && !page.moments.some(({ moment_id }) => cards.has(moment_id))) { // more has come than fits into a page
      for (const id of [...cards.keys()]) drop(id)
      more = true
    }
    const there = new Set(page.moments.map(({ moment_id }) => moment_id))
    for (const id of [...cards.keys()]) if ((id > oldest || !page.more) && !there.has(id)) drop(id)
    page.moments.forEach(put)
    tell()
  }

  async function again(id) {
    if (asked.has(id)) {
      asked.set(id, true)
      return
    }
    asked.set(id, false)
    try {
      put(await connection.ask('moment_get', { moment_id: id }))
      tell()
    } catch (problem) {
      if (problem instanceof Problem && problem.code === 'not_found') drop(id)
      else explain(problem)
    } finally {
      const changed = asked.get(id)
      asked.delete(id)
      if (changed) again(id)
    }
  }

  function near() {
    return end.getBoundingClientRect().top < scroll.getBoundingClientRect().bottom + parseInt(AHEAD, 10)
  }

  model.on('moment', ({ action, moment_id: id, by_user_id: by }) => {
    if (action === 'deleted') drop(id)
    else if (cards.has(id) || (mine && action === 'posted' && by === model.me.user_id)) again(id)
  }, { signal })
  for (const what of ['friends', 'profile']) model.on(what, () => { for (const one of cards.values()) one.name() }, { signal })
  const current = () => { if (!document.hidden && connection.state === 'ready') refresh().catch(explain) }
  connection.on('state', current, { signal })
  document.addEventListener('visibilitychange', current, { signal })
  const timer = setInterval(current, EVERY)
  signal.addEventListener('abort', () => clearInterval(timer))

  const scroll = h('div', { class: 'scroll' }, h('div', { class: 'column moments' }, mine && composer(app), news, list, end))
  if (op === 'moments') tellNews(app, news, signal)
  const watch = new IntersectionObserver((entries) => { if (entries.some((one) => one.isIntersecting)) next() }, { root: scroll, rootMargin: AHEAD })
  signal.addEventListener('abort', () => watch.disconnect())
  tell()
  const element = h('div', { class: 'pane' }, head(app, title, back), scroll)
  element.drawn = next().then(() => watch.observe(end))
  return element
}

function head(app, title, back) {
  return h('header', { class: 'pane-head moments-head' }, back !== null && iconButton('back', t('back'), () => app.router.go(back)), h('h1', {}, title))
}

// Who liked or commented meanwhile, above the rest until one goes on.
function tellNews(app, place, signal) {
  const told = []
  function draw() {
    if (app.notices.list.length === 0) return
    told.unshift(...app.notices.take())
    fill(place, h('section', { class: 'card moments-news', 'aria-label': t('moments.news.title') },
      h('h2', {}, t('moments.news.title')),
      h('ul', {}, told.map(({ action, moment_id, user_id, username }) => h('li', {},
        h('a', { href: `#/moments/${moment_id}` }, icon(action === 'liked' ? 'heart' : 'comment'),
          h('span', {}, t(`moments.news.${action}`, { name: app.model.nameOf(user_id, username) }))))))))
  }
  app.notices.on('changed', draw, { signal })
  draw()
}

function alone(app, id, signal) {
  const { connection, model } = app
  const column = h('div', { class: 'column moments' })
  let shown = null

  async function load() {
    try {
      const moment = await connection.ask('moment_get', { moment_id: id })
      if (shown === null) {
        shown = card(app, moment, { signal, open: true })
        fill(column, shown.element)
      } else {
        shown.update(moment)
      }
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem
      gone()
    }
  }
  function gone() {
    fill(column, h('div', { class: 'empty' }, icon('moments'), h('h2', {}, t('moments.gone')), h('p', {}, t('moments.gone.hint')),
      h('a', { class: 'button primary', href: '#/moments' }, t('moments.all'))))
  }

  model.on('moment', ({ action, moment_id }) => {
    if (moment_id !== id) return
    if (action === 'deleted') gone()
    else load()
  }, { signal })
  for (const what of ['friends', 'profile']) model.on(what, () => shown?.name(), { signal })
  const element = h('div', { class: 'pane' }, head(app, t('moments.one'), 'moments'), h('div', { class: 'scroll' }, column))
  element.drawn = load()
  return element
}
