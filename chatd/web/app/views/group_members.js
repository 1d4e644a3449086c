// Who is in a group, and what those above them may do.

import { avatar } from '../avatar.js'
import { friendsOf, isMeant } from '../chooser.js'
import { confirm, explain, menu } from '../dialog.js'
import { fill, h, icon, iconButton } from '../dom.js'
import { t } from '../language.js'
import { pickPeople } from '../people_picker.js'
import { Rows } from '../rows.js'
import { clock, instant } from '../time.js'

const PAGE = 100
const FEW = 12 // members among whom one finds somebody by looking
const RANKS = { member: 0, admin: 1, owner: 2 }
const MUTES = [['tenMinutes', 10], ['hour', 60], ['day', 24 * 60]]

// { element, show(info), load() }: `info` is what group_get gives, or null where I am not in it.
export function groupMembers(app, groupId, signal) {
  const { model, connection } = app
  const list = h('ul', { class: 'list' })
  const rows = new Rows(list)
  const count = h('span', { class: 'list-count' })
  const add = h('button', { type: 'button', on: { click: () => pick().catch(explain) } }, icon('plus'), t('group.add'))
  const filter = h('input', { type: 'search', placeholder: t('group.filter'), 'aria-label': t('group.filter'), autocomplete: 'off' })
  const sieve = h('div', { class: 'chooser-filter', hidden: true }, icon('search'), filter)
  const none = h('p', { class: 'hint', role: 'status' })
  const next = h('button', { type: 'button', class: 'quiet', hidden: true, on: { click: () => page().catch(explain) } }, t('showMore'))
  const element = h('section', { class: 'card members', tabindex: '-1', hidden: true },
    h('header', { class: 'card-head' }, h('h2', {}, t('group.people'), ' ', count), add), sieve, none, list, next)
  let info = null
  let known = [] // by username, from the first on
  let isAll = false
  let waiting = false

  function show(group) {
    info = group
    element.hidden = info === null
    draw()
  }

  function draw() {
    waiting = false
    if (info === null) return
    fill(count, String(info.member_count))
    add.hidden = info.role === 'member'
    sieve.hidden = info.member_count <= FEW
    next.hidden = isAll
    const wanted = filter.value.trim().replace(/^@/, '')
    const shown = known.map(item).filter((one) => isMeant({ ...one, nickname: one.name }, wanted))
    if (isAll) shown.sort((one, other) => RANKS[other.role] - RANKS[one.role] || one.name.localeCompare(other.name))
    none.textContent = shown.length === 0 && known.length > 0 ? t('picker.none') : ''
    rows.show(shown, row)
  }

  function item({ user_id: id, username, nickname, avatar_url, role, online, muted_until }) {
    const person = model.people.get(id)
    const isMuted = muted_until !== null && new Date(muted_until) > new Date()
    const status = id === model.me.user_id ? null : online ? (person?.status ?? 'offline') === 'offline' ? 'online' : person.status : 'offline'
    return { id, username, name: model.nameOf(id, nickname || username), avatar_url, role, status, muted_until: isMuted ? muted_until : null, mine: info.role }
  }

  function row(one) {
    const { id, username, name, role, muted_until, status } = one
    const isMe = id === model.me.user_id
    const doings = isMe ? [] : choices(one)
    const button = iconButton('more', t('group.doWith', { name }), () => menu(button, doings, t('group.doWith', { name })))
    const sub = muted_until !== null ? [icon('silent'), t('group.mutedUntil', { time: near(muted_until) })] : `@${username}`
    return h('div', { class: 'row-line' },
      h('a', { class: 'row', href: `#/u/${id}` }, avatar({ name, id, url: one.avatar_url, status }),
        h('span', { class: 'row-main' }, h('span', { class: 'row-title' }, name, isMe && h('span', { class: 'row-handle' }, ` ${t('group.itsYou')}`)),
          role !== 'member' && h('span', { class: `role role-${role}` }, t(`group.role.${role}`))),
        h('span', { class: 'row-sub' }, h('span', { class: 'row-text' }, sub), status !== null && status !== 'offline' && h('span', { class: 'hidden-text' }, t(`presence.${status}`)))),
      doings.some(Boolean) && button)
  }

  // What I may do with somebody: those above may do with those below.
  function choices({ id, name, role, muted_until, mine }) {
    if (RANKS[mine] <= RANKS[role]) return []
    const who = { conversation_id: groupId, user_id: id }
    const isOwner = mine === 'owner'
    return [
      isOwner && role === 'member' && { label: t('group.makeAdmin'), icon: 'check', act: () => change('group_role', { ...who, role: 'admin' }) },
      isOwner && role === 'admin' && { label: t('group.makeMember'), icon: 'people', act: () => change('group_role', { ...who, role: 'member' }) },
      isOwner && { label: t('group.handOver'), icon: 'forward', act: () => sure('handOver', name, 'group_role', { ...who, role: 'owner' }) },
      muted_until !== null && { label: t('group.unmute'), icon: 'microphone', act: () => change('group_mute', who) },
      ...(muted_until !== null ? [] : MUTES.map(([words, minutes]) => ({
        label: t(`group.mute.${words}`), icon: 'silent',
        act: () => change('group_mute', { ...who, until: new Date(Date.now() + minutes * 60_000).toISOString() }),
      }))),
      { label: t('group.remove'), icon: 'leave', danger: true, act: () => sure('remove', name, 'group_remove', who) },
    ]
  }

  function change(op, fields) {
    connection.change(op, fields).catch(explain) // its event brings the new state
  }
  async function sure(doing, name, op, fields) {
    const asked = { detail: t(`group.${doing}Detail`), yes: t(`group.${doing}`), danger: doing === 'remove' }
    if (await confirm(t(`group.${doing}Ask`, { name }), asked)) change(op, fields)
  }

  async function pick() {
    await everybody()
    const inside = new Set(known.map(({ user_id }) => user_id))
    const people = friendsOf(model).filter(({ user_id }) => !inside.has(user_id))
    const chosen = await pickPeople(app, { title: t('group.add'), yes: t('group.addThem'), people })
    if (chosen === null) return
    await connection.change('group_add', { conversation_id: groupId, users: chosen.map(({ username }) => username) })
  }

  // Pages

  async function ask(after, limit = PAGE) {
    const { members, more } = await connection.ask('group_members', { conversation_id: groupId, limit, ...(after === undefined ? {} : { after_username: after }) })
    return { members, more: more && members.length > 0 }
  }
  async function page() {
    const { members, more } = await ask(known.at(-1)?.username)
    known = [...known, ...members]
    isAll = !more
    if (!signal.aborted) draw()
  }
  async function everybody() {
    while (!isAll && !signal.aborted) await page()
  }
  // Ask again for as many as are shown.
  async function load() {
    if (info === null) return
    const wanted = Math.max(PAGE, known.length)
    const fresh = []
    let isMore = true
    while (isMore && fresh.length < wanted) {
      const { members, more } = await ask(fresh.at(-1)?.username)
      fresh.push(...members)
      isMore = more
    }
    if (signal.aborted) return
    known = fresh
    isAll = !isMore
    draw()
  }

  function soon(userId) {
    if (waiting || signal.aborted || !known.some(({ user_id }) => user_id === userId)) return
    waiting = true
    requestAnimationFrame(draw)
  }
  filter.addEventListener('input', () => { draw(); everybody().catch(explain) })
  model.on('people', (userId) => {
    const member = known.find(({ user_id }) => user_id === userId)
    if (member !== undefined) member.online = model.people.get(userId).status !== 'offline'
    soon(userId)
  }, { signal })
  return { element, show, load }
}

// The time of today, or the whole date.
function near(time) {
  return new Date(time).toDateString() === new Date().toDateString() ? clock(time) : instant(time)
}
