// Settings: who may become my friend, what others see of my reading, and whom I have blocked.

import { explain, note } from '../dialog.js'
import { avatar } from '../avatar.js'
import { fill, h } from '../dom.js'
import { t } from '../language.js'
import { choice, part } from './settings_parts.js'

const POLICIES = ['open', 'approve', 'closed']

export function privacy(app, signal) {
  const { connection, model } = app
  const policies = POLICIES.map((value) => h('input', { type: 'radio', name: 'friend_policy', value, 'aria-describedby': `policy-${value}` }))
  const receipts = h('input', { type: 'checkbox', 'aria-describedby': 'receipts-hint' })
  const byEmail = h('input', { type: 'checkbox', 'aria-describedby': 'by-email-hint' })
  const blocked = h('ul', { class: 'settings-rows' })

  function draw() {
    const { settings } = model.profile
    for (const input of policies) input.checked = input.value === settings.friend_policy
    receipts.checked = settings.receipts
    byEmail.checked = settings.find_by_email
  }

  async function set(fields) {
    try {
      model.described(await connection.change('profile_set', fields))
      note(t('settings.saved'))
    } catch (problem) {
      draw()
      explain(problem)
    }
  }

  async function drawBlocked() {
    const users = await app.all('blocks', 'users', (last) => ({ after_username: last.username }))
    if (signal.aborted) return
    const rows = users.map(({ user_id, username }) => {
      const name = model.nameOf(user_id, username)
      return h('li', { class: 'settings-line' }, h('div', { class: 'line' }, avatar({ name, id: user_id, url: model.people.get(user_id)?.avatar_url }, 'small'),
        h('span', { class: 'settings-name' }, name), name !== username && h('span', { class: 'soft' }, `@${username}`)),
      h('button', { type: 'button', class: 'quiet', 'aria-label': t('settings.unblock.one', { name }), on: { click: () => unblock(user_id).catch(explain) } }, t('settings.unblock')))
    })
    fill(blocked, rows.length > 0 ? rows : h('li', { class: 'hint' }, t('settings.blocked.none')))
  }

  async function unblock(userId) {
    await connection.change('unblock', { user_id: userId })
    note(t('settings.unblocked'))
    await drawBlocked()
  }

  for (const input of policies) input.addEventListener('change', () => set({ friend_policy: input.value }))
  receipts.addEventListener('change', () => set({ receipts: receipts.checked }))
  byEmail.addEventListener('change', () => set({ find_by_email: byEmail.checked }))
  model.on('profile', draw, { signal })
  model.on('blocks', () => drawBlocked().catch(explain), { signal })
  draw()
  drawBlocked().catch(explain)
  return h('div', { class: 'stack' },
    h('section', { class: 'card' }, h('fieldset', {}, h('legend', {}, h('h3', {}, t('settings.policy'))),
      policies.map((input) => choice(input, t(`settings.policy.${input.value}`), t(`settings.policy.${input.value}.hint`), `policy-${input.value}`)))),
    part(t('settings.seen'),
      choice(receipts, t('settings.receipts'), t('settings.receipts.hint'), 'receipts-hint'),
      choice(byEmail, t('settings.byEmail'), t('settings.byEmail.hint'), 'by-email-hint')),
    part(t('settings.blocked'), h('p', { class: 'hint' }, t('settings.blocked.hint')), blocked))
}
