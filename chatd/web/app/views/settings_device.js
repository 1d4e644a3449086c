// Settings of this browser: language, light or dark, what it tells of; and what this server is.

import { copy } from '../clipboard.js'
import { explain, note } from '../dialog.js'
import { h, icon } from '../dom.js'
import * as languages from '../language.js'
import { t } from '../language.js'
import { allowed, want, wanted } from '../notifier.js'
import * as theme from '../theme.js'
import { choice, part } from './settings_parts.js'

export function look(app) {
  const language = h('select', { id: 'settings-language' },
    h('option', { value: '' }, t('settings.language.browser')),
    Object.entries(languages.languages).map(([value, name]) => h('option', { value, lang: value }, name)))
  language.value = languages.chosen() ?? ''
  language.addEventListener('change', () => translate(app, language.value || null).catch(explain))

  const themes = ['', 'light', 'dark'].map((value) => {
    const input = h('input', { type: 'radio', name: 'theme', value })
    input.checked = (theme.chosen() ?? '') === value
    input.addEventListener('change', () => theme.choose(value || null))
    return choice(input, t(`settings.theme.${value || 'system'}`))
  })
  return h('div', { class: 'stack' },
    part(t('language'), h('div', { class: 'field' }, h('label', { for: 'settings-language' }, t('settings.language.label')), language,
      h('p', { class: 'hint' }, t('settings.language.hint')))),
    h('section', { class: 'card' }, h('fieldset', {}, h('legend', {}, h('h3', {}, t('settings.theme'))), themes)))
}

// The server's words are in the same language; the page is drawn anew.
async function translate({ connection, model }, lang) {
  await languages.choose(lang)
  if (connection.state === 'ready') model.described(await connection.change('profile_set', { lang: languages.language }))
  location.reload()
}

export function notifications() {
  const supported = 'Notification' in globalThis
  const refused = h('p', { class: 'problem', role: 'status' })
  const shown = h('input', { type: 'checkbox', disabled: !supported })
  const sound = h('input', { type: 'checkbox' })
  shown.checked = supported && wanted().notifications && Notification.permission === 'granted'
  sound.checked = wanted().sound
  shown.addEventListener('change', async () => {
    const granted = shown.checked && await allowed()
    refused.textContent = shown.checked && !granted ? t('settings.notify.refused') : ''
    shown.checked = granted
    want({ notifications: granted })
  })
  sound.addEventListener('change', () => want({ sound: sound.checked }))
  return h('section', { class: 'card' },
    choice(shown, t('settings.notify.show'), supported ? t('settings.notify.show.hint') : t('settings.notify.unsupported')), refused,
    choice(sound, t('settings.notify.sound'), t('settings.notify.sound.hint')),
    h('p', { class: 'hint' }, t('settings.notify.silent')))
}

export function about(app) {
  const address = h('code', {}, location.origin)
  return h('section', { class: 'card' },
    h('div', { class: 'settings-about' }, h('img', { src: '/web/icon.svg', alt: '', width: 48, height: 48 }),
      h('div', {}, h('h3', {}, 'chatd'), h('p', { class: 'hint' }, t('settings.about.hint')))),
    h('dl', { class: 'settings-facts' },
      h('dt', {}, t('settings.about.server')), h('dd', {}, address),
      h('dt', {}, t('settings.about.me')), h('dd', {}, `@${app.model.me.username}`)),
    h('div', { class: 'wrap' },
      h('button', { type: 'button', on: { click: () => copyAddress() } }, icon('copy'), t('settings.about.copy')),
      h('a', { href: '/openapi.json', target: '_blank', rel: 'noopener', class: 'button' }, icon('file'), t('settings.about.api'))))
}

async function copyAddress() {
  if (await copy(location.origin)) note(t('settings.copied'))
}
