// Who somebody is, and what one can do about it; for oneself, what others see of one.

import { avatar } from '../avatar.js'
import { explain, menu, note } from '../dialog.js'
import { fill, h, icon, iconButton } from '../dom.js'
import { answer, askToBeFriends, block, part, rename, sentRequests, unblock, writeTo } from '../friendship.js'
import { t } from '../language.js'
import { options } from '../options.js'
import { choose, chosen, STATUSES } from '../presence.js'
import { Problem } from '../problem.js'
import { refill } from '../rows.js'
import { seen } from '../seen.js'
import { linked } from '../text.js'
import { date } from '../time.js'

export function person(app, { id }, signal) {
  const { model, connection, router, rules } = app
  const userId = Number(id)
  const isMe = userId === model.me.user_id
  const top = h('div', { class: 'stack' })
  const foot = h('p', { class: 'hint centred' })
  const body = h('div', { class: 'column profile' }, top, isMe && presenceCard(app), foot)
  const more = iconButton('more', t('more'), () => menu(more, choices(), t('more')))
  const element = h('div', { class: 'pane' },
    h('header', { class: 'pane-head' }, iconButton('back', t('back'), () => router.go('friends'), { class: 'icon-button only-narrow' }), h('span', { class: 'grow' }), more),
    h('div', { class: 'scroll' }, body))
  let profile = isMe ? model.profile : null
  let sent = null // my request that waits
  let isBlocked = false
  let isNobody = false
  let drawn = null
  let waiting = false

  const received = () => model.requests.find(({ from_user_id }) => from_user_id === userId) ?? null
  const isFriend = () => model.friends.has(userId)
  const username = () => profile?.username ?? model.people.get(userId)?.username ?? ''
  const name = () => model.nameOf(userId, profile?.nickname || username())

  function draw() {
    waiting = false
    if (isNobody) return fill(body, h('div', { class: 'empty' }, icon('people'), h('h1', {}, t('person.nobody')), h('p', {}, t('person.nobodyHint')), h('a', { class: 'button', href: '#/friends' }, t('friends.search'))))
    if (username() === '') return undefined
    const known = model.people.get(userId) ?? {}
    const stamp = JSON.stringify([profile, known, sent, received(), isBlocked, isFriend(), model.direct(userId)?.id, rules.withStrangers])
    if (stamp === drawn) return undefined // whatever has happened, it is nothing that is shown here
    drawn = stamp
    const nickname = profile?.nickname ?? known.nickname ?? ''
    more.hidden = isMe
    fill(foot, profile && t('person.since', { date: date(profile.created_at) }))
    refill(top,
      h('section', { class: 'hero' },
        avatar({ name: name(), id: userId, url: profile?.avatar_url ?? known.avatar_url }, 'large'),
        h('h1', {}, name()),
        h('p', { class: 'soft' }, [`@${username()}`, known.remark ? nickname : ''].filter(Boolean).join(' · ')),
        (isFriend() || (known.status ?? 'offline') !== 'offline') && h('p', { class: `presence presence-${known.status ?? 'offline'}` }, seen(known)),
        isBlocked && h('p', { class: 'warned' }, icon('block'), t('person.blocked', { name: name() })),
        h('div', { class: 'wrap hero-choices' }, buttons())),
      request(),
      profile?.bio ? h('section', { class: 'card' }, h('h2', {}, t('person.about')), h('p', { class: 'prose' }, linked(profile.bio))) : null)
    return undefined
  }

  // Somebody's request stands with what they say of themselves.
  function request() {
    const asks = received()
    return asks !== null && h('section', { class: 'card' }, h('h2', {}, t('person.asks', { name: name() })),
      asks.note !== '' && h('p', { class: 'prose' }, asks.note),
      h('div', { class: 'wrap' },
        h('button', { type: 'button', class: 'primary', on: { click: () => respond(asks, true) } }, t('friends.accept')),
        h('button', { type: 'button', on: { click: () => respond(asks, false) } }, t('friends.reject'))))
  }

  function buttons() {
    const moments = h('a', { class: 'button', href: `#/u/${userId}/moments` }, icon('moments'), t('part.moments'))
    const direct = model.direct(userId)
    if (isMe) return [h('a', { class: 'button primary', href: '#/settings' }, icon('edit'), t('person.edit')), moments]
    return [
      direct !== undefined && h('a', { class: isFriend() ? 'button primary' : 'button', href: `#/c/${direct.id}` }, icon('chats'), t('person.message')),
      direct === undefined && !isBlocked && rules.withStrangers && h('button', { type: 'button', on: { click: () => writeTo(app, whom()) } }, icon('chats'), t('person.message')),
      isBlocked && h('button', { type: 'button', on: { click: () => doing(unblock(app, whom())) } }, t('person.unblock')),
      !isBlocked && !isFriend() && received() === null && (sent === null
        ? h('button', { type: 'button', class: 'primary', on: { click: () => askToBeFriends(app, whom()) } }, icon('plus'), t('person.add'))
        : h('button', { type: 'button', on: { click: () => respond(sent, false) } }, icon('clock'), t('person.withdraw'))),
      moments,
    ]
  }

  function choices() {
    const remark = model.people.get(userId)?.remark ?? ''
    return [
      isFriend() && { label: t('person.remark'), icon: 'edit', act: () => doing(rename(app, { ...whom(), username: username(), remark })) },
      isFriend() && { label: t('person.remove'), icon: 'trash', danger: true, act: () => doing(part(app, whom())) },
      isBlocked
        ? { label: t('person.unblock'), icon: 'block', act: () => doing(unblock(app, whom())) }
        : { label: t('person.block'), icon: 'block', danger: true, act: () => doing(block(app, whom())) },
    ]
  }

  function whom() {
    return { user_id: userId, name: name() }
  }
  function doing(work) {
    work.catch(explain)
  }
  function respond({ request_id }, accept) {
    doing(answer(app, request_id, accept))
  }

  async function load() {
    try {
      if (!Number.isSafeInteger(userId)) throw new Problem({ code: 'not_found' }, '')
      const asked = isMe ? model.profile : await connection.ask('profile', { user_id: userId })
      if (signal.aborted) return
      profile = asked ?? await connection.ask('profile')
      if (!isMe) model.meet({ user_id: userId, username: profile.username, nickname: profile.nickname, avatar_url: profile.avatar_url })
      await Promise.all(isMe ? [] : [loadRequest(), loadBlocks()])
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem
      if (!['not_found', 'invalid'].includes(problem.code)) return explain(problem)
      isNobody = true
      more.hidden = true
    }
    if (!signal.aborted) draw()
    return undefined
  }
  async function loadRequest() {
    sent = isFriend() ? null : (await sentRequests(app)).find(({ to_user_id }) => to_user_id === userId) ?? null
  }
  async function loadBlocks() {
    const blocked = await app.all('blocks', 'users', (last) => ({ after_username: last.username }))
    isBlocked = blocked.some(({ user_id }) => user_id === userId)
  }
  function soon() {
    if (waiting || signal.aborted) return
    waiting = true
    requestAnimationFrame(draw)
  }
  function again(loading) {
    loading().then(soon).catch(explain)
  }

  model.on('people', (whose) => { if (whose === userId) soon() }, { signal })
  if (isMe) {
    model.on('profile', () => { profile = model.profile; soon() }, { signal })
  } else {
    for (const what of ['friends', 'conversations']) model.on(what, soon, { signal })
    rules.on('changed', soon, { signal })
    model.on('requests', () => again(loadRequest), { signal })
    model.on('blocks', () => again(loadBlocks), { signal })
  }
  more.hidden = isMe
  draw()
  element.drawn = load()
  return element
}

// What others see of me. It is shown to them as soon as it is chosen.
function presenceCard(app) {
  const { status, text } = chosen(app.model.me)
  const words = h('input', { id: 'presence-text', value: text, maxlength: 100, autocomplete: 'off' })
  const form = h('form', { class: 'card' }, h('h2', {}, t('presence.title')),
    options('presence', t('presence.status'),
      STATUSES.map((one) => [one, t(`presence.${one}`), t(`presence.${one}Hint`), h('span', { class: `sign sign-${one}`, 'aria-hidden': 'true' })]), status, show),
    h('div', { class: 'field' }, h('label', { for: 'presence-text' }, t('presence.words')),
      h('div', { class: 'line' }, words, h('button', {}, t('save'))), h('p', { class: 'hint' }, t('presence.wordsHint'))))

  function show() {
    choose(app, { status: form.elements.presence.value, text: words.value.trim() })
    note(t('presence.shown', { status: t(`presence.${form.elements.presence.value}`) }))
  }
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    show()
  })
  return form
}
