// Settings: a list of pages, and the one that is looked at. A narrow window shows the list or the page.

import { avatar } from '../avatar.js'
import { confirm, explain } from '../dialog.js'
import { fill, h, icon, iconButton } from '../dom.js'
import { t } from '../language.js'
import { Problem } from '../problem.js'

// Where each page is, which is loaded when somebody looks at it: a function of (app, signal) that gives an element, or a
// promise of one. Its heading stands here.
const PAGES = {
  profile: { from: () => import('./settings_profile.js'), picture: 'edit' },
  account: { from: () => import('./settings_account.js'), picture: 'lock' },
  privacy: { from: () => import('./settings_privacy.js'), picture: 'eye' },
  devices: { from: () => import('./settings_devices.js'), picture: 'device' },
  notifications: { from: () => import('./settings_device.js'), picture: 'bell' },
  look: { from: () => import('./settings_device.js'), picture: 'settings' },
  about: { from: () => import('./settings_device.js'), picture: 'chats' },
}

export function settings(app, { page }, signal) {
  const name = Object.hasOwn(PAGES, page ?? '') ? page : 'profile'
  const body = h('div', { class: 'stack' })
  const list = h('nav', { class: 'settings-list', 'aria-label': t('part.settings') },
    Object.entries(PAGES).map(([key, { picture }]) => h('a', {
      class: 'settings-link', href: `#/settings/${key}`, 'aria-current': key === name ? 'page' : null,
    }, icon(picture), t(`settings.${key}`))),
    h('button', { type: 'button', class: 'quiet settings-link danger-text', on: { click: () => logout(app).catch(explain) } }, icon('leave'), t('settings.logout')))
  const own = h('a', { class: 'row settings-own', href: `#/u/${app.model.me.user_id}` })
  function drawOwn() {
    const { me, profile: known } = app.model
    const called = app.model.nameOf(me.user_id)
    fill(own, avatar({ name: called, id: me.user_id, url: known?.avatar_url }),
      h('span', { class: 'row-main' }, h('span', { class: 'row-title' }, called)), h('span', { class: 'row-sub' }, `@${me.username}`))
  }
  app.model.on('profile', drawOwn, { signal })
  drawOwn()
  const element = h('div', { class: 'settings', dataset: { page: page ?? '' } },
    h('div', { class: 'settings-side' }, h('header', { class: 'pane-head' }, h('h1', {}, t('part.settings'))), own, list),
    h('div', { class: 'settings-page' },
      h('header', { class: 'pane-head' },
        iconButton('back', t('settings.all'), () => app.router.go('settings'), { class: 'icon-button only-narrow' }), h('h2', {}, t(`settings.${name}`))),
      h('div', { class: 'scroll' }, h('div', { class: 'column' }, body))))
  element.drawn = draw()

  async function draw() {
    try {
      if (!app.model.profile?.settings) app.model.described(await app.connection.ask('profile'))
      const show = (await PAGES[name].from())[name]
      body.append(await show(app, signal))
    } catch (problem) {
      explain(problem)
    }
  }
  return element
}

// End this session, here and at the server; here only where the server cannot be reached.
export async function logout(app) {
  const unsent = app.outbox.size
  const detail = [unsent > 0 && t('settings.logout.unsent', { n: unsent }), t('settings.logout.detail')].filter(Boolean).join(' ')
  if (!await confirm(t('settings.logout.sure'), { detail, yes: t('settings.logout'), danger: unsent > 0 })) return
  try {
    if (app.connection.state === 'ready') await app.connection.change('logout')
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem
  }
  app.leave()
}
