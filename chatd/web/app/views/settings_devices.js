// Settings: where I am logged in, and how to end that.

import { confirm, explain, note } from '../dialog.js'
import { fill, h, icon } from '../dom.js'
import { t } from '../language.js'
import { ago, full } from '../time.js'

export async function devices(app, signal) {
  const { connection, model } = app
  const list = h('ul', { class: 'settings-rows' })
  const others = h('button', { type: 'button', class: 'danger-text', on: { click: () => endOthers().catch(explain) } }, t('settings.devices.others'))
  let sessions = []

  async function load() {
    const answer = await connection.ask('sessions')
    if (signal.aborted) return
    sessions = answer.sessions.sort((a, b) => b.current - a.current)
    fill(list, sessions.map(row))
    others.hidden = sessions.length < 2
  }

  function row({ session_id: id, device, created_at, last_used_at, expires_at, current }) {
    const name = device ?? t('settings.devices.unnamed')
    return h('li', { class: 'settings-line' },
      h('div', { class: 'settings-device' }, icon('device'), h('div', {},
        h('p', { class: 'settings-name' }, name, current && h('span', { class: 'settings-this' }, t('settings.devices.this'))),
        h('p', { class: 'hint' }, current ? t('settings.devices.now') : h('span', { title: full(last_used_at) }, t('settings.devices.used', { ago: ago(last_used_at) })),
          ' · ', h('span', { title: full(created_at) }, t('settings.devices.created', { ago: ago(created_at) })),
          expires_at !== null && [' · ', t('settings.devices.expires', { time: full(expires_at) })]))),
      !current && h('button', { type: 'button', class: 'quiet', 'aria-label': t('settings.devices.endOf', { name }), on: { click: () => end(id, name).catch(explain) } }, t('settings.devices.end')))
  }

  async function end(id, name) {
    if (!await confirm(t('settings.devices.end.sure', { name }), { detail: t('settings.devices.end.detail'), yes: t('settings.devices.end') })) return
    await connection.change('session_revoke', { session_id: id })
    await load()
    note(t('settings.devices.ended'))
  }

  async function endOthers() {
    if (!await confirm(t('settings.devices.others.sure'), { detail: t('settings.devices.end.detail'), yes: t('settings.devices.others') })) return
    for (const { session_id, current } of sessions) if (!current) await connection.change('session_revoke', { session_id })
    await load()
    note(t('settings.devices.ended'))
  }

  model.on('sessions', () => load().catch(explain), { signal })
  await load()
  return h('section', { class: 'card' }, h('p', { class: 'hint' }, t('settings.devices.hint')), list, h('div', {}, others))
}
