// Settings: how I log in, whom I invite, what is mine, and the end of it.

import { copy } from '../clipboard.js'
import { confirm, explain, field, form, note, open } from '../dialog.js'
import { fill, h, icon } from '../dom.js'
import { t } from '../language.js'
import { Problem } from '../problem.js'
import { full } from '../time.js'
import { part } from './settings_parts.js'

// Which account a password is for: password managers ask.
const named = ({ me }) => h('input', { type: 'text', value: me.username, autocomplete: 'username', hidden: true })

const PASSWORD = { type: 'password', minlength: 8, maxlength: 1024, required: true }

export function account(app, signal) {
  const { connection, model } = app
  const email = h('p', { class: 'settings-value' })
  const password = h('button', { type: 'button', on: { click: () => changePassword(app) } }, t('settings.password.change'))

  function draw() {
    const { settings } = model.profile
    fill(email, settings.email || t('settings.email.none'))
    password.hidden = !settings.has_password
    change.hidden = !settings.has_password
  }

  async function give() {
    const { url } = await connection.ask('account_export')
    fill(link, h('a', { href: url, download: '', class: 'button' }, icon('download'), t('settings.export.get')))
    link.firstElementChild.focus()
  }

  const change = h('button', { type: 'button', on: { click: () => changeEmail(app) } }, t('settings.email.change'))
  const link = h('div', {})
  model.on('profile', draw, { signal })
  draw()
  return h('div', { class: 'stack' },
    part(t('settings.login'),
      h('div', { class: 'settings-line' }, h('div', {}, h('p', { class: 'settings-name' }, t('settings.email')), email,
        h('p', { class: 'hint' }, t(app.rules.mail ? 'settings.email.hint' : 'settings.email.noMail'))), change),
      h('div', { class: 'settings-line' }, h('div', {}, h('p', { class: 'settings-name' }, t('settings.password')),
        h('p', { class: 'hint' }, t('settings.password.hint'))), password)),
    app.rules.invites && invites(app, signal),
    part(t('settings.export'), h('p', { class: 'hint' }, t('settings.export.hint')),
      h('div', { class: 'wrap' }, h('button', { type: 'button', on: { click: () => give().catch(explain) } }, t('settings.export.make')), link)),
    part(t('settings.delete'), h('p', { class: 'hint' }, t('settings.delete.hint')),
      h('div', {}, h('button', { type: 'button', class: 'danger-text', on: { click: () => erase(app) } }, icon('trash'), t('settings.delete')))))
}

function changeEmail({ connection, model }) {
  const { close } = open(t('settings.email.change'), form([
    named(model),
    field('email', t('settings.email'), { hint: t('settings.email.empty'), type: 'email', maxlength: 254, autocomplete: 'email', value: model.profile.settings.email ?? '' }),
    field('password', t('settings.password.mine'), { ...PASSWORD, autocomplete: 'current-password' }),
  ], async (fields) => {
    await connection.change('email_set', fields)
    model.described(await connection.ask('profile'))
    close()
    note(t('settings.saved'))
  }, { yes: t('save') }), { className: 'small' })
}

function changePassword({ connection, model }) {
  const { close } = open(t('settings.password.change'), form([
    named(model),
    field('old_password', t('settings.password.old'), { ...PASSWORD, autocomplete: 'current-password' }),
    field('new_password', t('settings.password.new'), { ...PASSWORD, hint: t('settings.password.ends'), autocomplete: 'new-password' }),
  ], async (fields) => {
    await connection.change('password_set', fields)
    close()
    note(t('settings.password.changed'))
  }, { yes: t('settings.password.change') }), { className: 'small' })
}

function erase(app) {
  const fields = app.model.profile.settings.has_password ? [named(app.model), field('password', t('settings.password.mine'), { ...PASSWORD, autocomplete: 'current-password' })] : []
  const { close } = open(t('settings.delete.sure'), [
    h('p', {}, t('settings.delete.detail')),
    form([fields, h('label', { class: 'choice' }, h('input', { type: 'checkbox', required: true }), h('span', {}, t('settings.delete.understood')))], async ({ password }) => {
      await app.connection.change('account_delete', password === undefined ? {} : { password })
      close()
      app.leave(t('settings.delete.done'))
    }, { yes: t('settings.delete') }),
  ], { className: 'small settings-erase' })
}

// Invites, where members may let others in.
function invites(app, signal) {
  const { connection } = app
  const list = h('ul', { class: 'settings-rows' })
  const section = part(t('settings.invites'), h('p', { class: 'hint' }, t('settings.invites.hint')), list,
    h('div', {}, h('button', { type: 'button', on: { click: () => invite() } }, icon('plus'), t('settings.invite.make'))))

  function invite() {
    const fields = form([
      field('note', t('settings.invite.note'), { hint: t('settings.invite.note.hint'), maxlength: 255, autocomplete: 'off' }),
      field('uses', t('settings.invite.uses'), { type: 'number', min: 1, max: 1000, value: 1, required: true }),
      field('days', t('settings.invite.days'), { type: 'number', min: 1, max: 365, value: 7, required: true }),
    ], async ({ note: text, uses, days }) => {
      const { token } = await connection.change('invite_create', { note: text, uses: Number(uses), hours: Number(days) * 24 })
      close()
      show(token)
      await load()
    }, { yes: t('settings.invite.make') })
    const { close } = open(t('settings.invite.make'), fields, { className: 'small' })
  }

  // The token is told this once.
  function show(token) {
    const input = h('input', { id: 'invite-token', value: token ?? '', readonly: true })
    open(t('settings.invite.made'), [h('div', { class: 'field' }, h('label', { for: 'invite-token' }, t('settings.invite.token')), input,
      h('p', { class: 'hint' }, t('settings.invite.once')))], {
      className: 'small',
      actions: [h('button', { type: 'button', class: 'primary', on: { click: () => copied(input.value) } }, icon('copy'), t('settings.copy'))],
    })
    input.select()
  }

  async function revoke(id) {
    if (!await confirm(t('settings.invite.revoke.sure'), { yes: t('settings.invite.revoke') })) return
    await connection.change('invite_revoke', { invite_id: id })
    await load()
  }

  async function load() {
    const { invites: mine } = await connection.ask('invites')
    if (signal.aborted) return
    fill(list, mine.map(({ id, note: text, uses_left, expires_at }) => h('li', { class: 'settings-line' },
      h('div', {}, h('p', { class: 'settings-name' }, text || t('settings.invite.unnamed')),
        h('p', { class: 'hint' }, t('settings.invite.left', { n: uses_left, until: full(expires_at) }))),
      h('button', { type: 'button', class: 'quiet', 'aria-label': t('settings.invite.revokeOf', { name: text || t('settings.invite.unnamed') }),
        on: { click: () => revoke(id).catch(explain) } }, t('settings.invite.revoke')))))
    list.hidden = mine.length === 0
  }

  list.hidden = true
  load().catch((problem) => {
    if (!(problem instanceof Problem)) throw problem
    section.hidden = true
  })
  return section
}

async function copied(text) {
  if (await copy(text)) note(t('settings.copied'))
}
