// A group: what it is called and about, who is in it, how one comes in, and what of it is mine to choose.

import { avatar } from '../avatar.js'
import { explain, confirm, field, form, menu, note, open, prompt } from '../dialog.js'
import { fill, h, icon, iconButton } from '../dom.js'
import { join } from '../joining.js'
import { t } from '../language.js'
import { Problem } from '../problem.js'
import { refill } from '../rows.js'
import { linked } from '../text.js'
import { upload } from '../uploads.js'
import { groupEntry } from './group_entry.js'
import { groupMembers } from './group_members.js'

export function group(app, { id }, signal) {
  const { model, connection, router } = app
  const groupId = Number(id)
  const top = h('div', { class: 'hero' })
  const mine = mySettings(app, groupId, signal)
  const members = groupMembers(app, groupId, signal)
  const entry = groupEntry(app, groupId, signal)
  const ways = h('section', { class: 'wrap group-end' })
  const body = h('div', { class: 'column profile' }, top, entry.requests, mine.element, members.element, entry.element, ways)
  const more = iconButton('more', t('more'), () => menu(more, choices(), t('more')))
  const element = h('div', { class: 'pane' },
    h('header', { class: 'pane-head' }, iconButton('back', t('back'), back), h('span', { class: 'grow' }), more),
    h('div', { class: 'scroll' }, body))
  let info = null // as group_get gives it; null where I may not see it
  let isLoaded = false
  let drawn = null
  let waiting = false

  const known = () => model.conversations.get(groupId)
  const isIn = () => info !== null && info.role !== null
  const isAdmin = () => isIn() && info.role !== 'member'
  const title = () => info?.title ?? known()?.title ?? ''

  function draw() {
    waiting = false
    const { title: called, avatar_url, has_left, member_count } = known() ?? {}
    const stamp = JSON.stringify([info, isLoaded, called, avatar_url, has_left, member_count])
    if (stamp === drawn) return // whatever has happened, it is nothing that is shown here
    drawn = stamp
    more.hidden = !isIn()
    if (!isLoaded && known() === undefined) return
    if (info === null && isLoaded && known() === undefined) {
      fill(body, h('div', { class: 'empty' }, icon('people'), h('h1', {}, t('group.nothing')), h('p', {}, t('group.nothingHint')), h('a', { class: 'button', href: '#/friends' }, t('friends.search'))))
      return
    }
    const count = info?.member_count ?? known()?.member_count ?? null
    refill(top, picture(), h('h1', {}, title()),
      count !== null && h('p', { class: 'soft' }, [t('group.members', { n: count }), isIn() ? t(`group.you.${info.role}`) : ''].filter(Boolean).join(' · ')),
      isLoaded && !isIn() && known()?.has_left && h('p', { class: 'warned' }, icon('leave'), t('group.left')),
      h('div', { class: 'wrap hero-choices' }, buttons()),
      notice())
    mine.show(isIn())
    members.show(isIn() ? info : null)
    entry.show(isAdmin() ? info : null)
    refill(ways, isIn() && [
      h('button', { type: 'button', class: 'quiet danger-text', on: { click: leave } }, icon('leave'), t('group.leave')),
      info.role === 'owner' && h('button', { type: 'button', class: 'quiet danger-text', on: { click: dissolve } }, icon('trash'), t('group.dissolve')),
    ])
  }

  function picture() {
    const face = avatar({ name: title(), id: groupId, url: info?.avatar_url ?? known()?.avatar_url }, 'large')
    if (!isAdmin()) return face
    const button = h('button', { type: 'button', class: 'face-button', 'aria-label': t('group.picture'), title: t('group.picture'), on: { click: () => {
      if (info.avatar_url === null) choosePicture()
      else menu(button, [
        { label: t('group.choosePicture'), icon: 'image', act: choosePicture },
        { label: t('group.noPicture'), icon: 'trash', act: () => change({ avatar_file_id: 0 }) },
      ], t('group.picture'))
    } } }, face, h('span', { class: 'face-sign' }, icon('camera')))
    return button
  }

  function notice() {
    const text = info?.notice ?? ''
    if (text === '' && !isAdmin()) return null
    return h('section', { class: 'card group-notice' },
      h('header', { class: 'card-head' }, h('h2', {}, t('group.notice')), isAdmin() && iconButton('edit', t('group.editNotice'), editNotice)),
      text === '' ? h('p', { class: 'soft' }, t('group.noNotice')) : h('p', { class: 'prose' }, linked(text)))
  }

  function buttons() {
    return [
      known() !== undefined && h('a', { class: isIn() ? 'button primary' : 'button', href: `#/c/${groupId}` }, icon('chats'), t('group.open')),
      info !== null && !isIn() && (info.asked
        ? h('span', { class: 'soft' }, t('group.askedAlready'))
        : h('button', { type: 'button', class: 'primary', on: { click: come } }, icon('plus'), t(info.joining === 'open' ? 'group.join' : 'group.ask'))),
    ]
  }

  function choices() {
    return [
      isAdmin() && { label: t('group.rename'), icon: 'edit', act: rename },
      isAdmin() && { label: t('group.editNotice'), icon: 'edit', act: editNotice },
      { label: t('group.leave'), icon: 'leave', danger: true, act: leave },
      info.role === 'owner' && { label: t('group.dissolve'), icon: 'trash', danger: true, act: dissolve },
    ]
  }

  // Doing

  async function change(fields) {
    try {
      info = await connection.change('group_update', { conversation_id: groupId, ...fields })
      draw()
    } catch (problem) {
      explain(problem)
    }
  }
  async function rename() {
    const wanted = await prompt(t('group.rename'), { label: t('group.title'), value: title(), most: 100 })
    if (wanted && wanted !== title()) change({ title: wanted })
  }
  function editNotice() {
    const fields = form([field('notice', t('group.notice'), { tag: 'textarea', rows: 6, maxlength: 2000, value: info.notice, hint: t('group.noticeHint') })],
      async ({ notice: text }) => {
        info = await connection.change('group_update', { conversation_id: groupId, notice: text.trim() })
        close()
        draw()
      }, { yes: t('save') })
    const { close } = open(t('group.notice'), fields)
    fields.elements.notice.focus()
  }
  function choosePicture() {
    const input = h('input', { type: 'file', accept: 'image/*' })
    input.addEventListener('change', async () => {
      const [file] = input.files
      if (file === undefined) return
      try {
        const { file_id } = await upload(file, { name: file.name, token: app.session.token })
        await change({ avatar_file_id: file_id })
      } catch (problem) {
        explain(problem)
      }
    })
    input.click()
  }
  async function come() {
    try {
      if (await join(app, { conversation_id: groupId, title: title(), joining: info.joining }) === 'pending') await load()
    } catch (problem) {
      explain(problem)
    }
  }
  async function leave() {
    const detail = t(info.role !== 'owner' ? 'group.leaveDetail' : info.member_count > 1 ? 'group.leaveAsOwner' : 'group.leaveAsLast')
    if (!await confirm(t('group.leaveAsk', { title: title() }), { detail, yes: t('group.leave') })) return
    connection.change('group_leave', { conversation_id: groupId }).then(load).catch(explain)
  }
  async function dissolve() {
    if (!await confirm(t('group.dissolveAsk', { title: title() }), { detail: t('group.dissolveDetail'), yes: t('group.dissolve') })) return
    connection.change('group_dissolve', { conversation_id: groupId }).then(() => note(t('group.dissolved'))).then(load).catch(explain)
  }
  function back() {
    router.go(known() === undefined ? 'friends' : `c/${groupId}`)
  }

  async function load() {
    try {
      info = await connection.ask('group_get', { conversation_id: groupId })
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem
      if (!['not_found', 'invalid'].includes(problem.code)) return explain(problem)
      info = null
    }
    if (signal.aborted) return undefined
    isLoaded = true
    draw()
    return undefined
  }
  function soon() {
    if (waiting || signal.aborted) return
    waiting = true
    requestAnimationFrame(draw)
  }

  model.on(`group:${groupId}`, () => load().then(() => Promise.all([members.load(), entry.load()])).catch(explain), { signal })
  model.on('conversation', (whose) => { if (whose === groupId) soon() }, { signal })
  draw()
  element.drawn = load().then(() => Promise.all([members.load(), entry.load()])).catch(explain)
  return element
}

// Whether it may be heard, and whether it stands above the others.
function mySettings(app, groupId, signal) {
  const { model, connection } = app
  const boxes = ['silent', 'pinned'].map((name) => {
    const box = h('input', { type: 'checkbox', role: 'switch', id: `group-${name}`, 'aria-describedby': `group-${name}-hint` })
    box.addEventListener('change', async () => {
      try {
        const { silent, pinned } = await connection.change('conversation_set', { conversation_id: groupId, [name]: box.checked })
        model.update(groupId, { silent, pinned })
      } catch (problem) {
        box.checked = !box.checked
        explain(problem)
      }
    })
    return { name, box, element: h('div', { class: 'switch' }, h('label', { for: `group-${name}` }, t(`group.${name}`)), h('p', { class: 'hint', id: `group-${name}-hint` }, t(`group.${name}Hint`)), box) }
  })
  const element = h('section', { class: 'card', hidden: true }, h('h2', {}, t('group.mine')), boxes.map(({ element: line }) => line))
  function draw() {
    const conversation = model.conversations.get(groupId)
    for (const { name, box } of boxes) box.checked = conversation?.[name] ?? false
  }
  model.on('conversation', (whose) => { if (whose === groupId) draw() }, { signal })
  draw()
  return { element, show(isThere) { element.hidden = !isThere } }
}
