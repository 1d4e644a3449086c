// The way in: an account of one's own, a password, or a code by mail.

import { post } from '../api.js'
import { form, field } from '../dialog.js'
import { fill, h } from '../dom.js'
import { choose, language, languages, t } from '../language.js'
import { device } from '../session.js'

const PASSWORD = { type: 'password', minlength: 8, maxlength: 1024, required: true }

// Calls `begun` with { token, user_id, username }. `server` is what the op of that name told, {} where it did not.
export function signin({ server, begun }) {
  const body = h('div', { class: 'signin-body' })
  const ways = ['login', server.signup !== 'closed' && 'signup', server.mail !== false && 'code'].filter(Boolean)
  const tabs = ways.map((name) =>
    h('button', { type: 'button', class: 'tab', role: 'tab', id: `tab-${name}`, 'aria-controls': 'signin-panel', on: { click: () => show(name) } }, t(`signin.${name}`)))
  const list = h('div', { class: 'tabs', role: 'tablist', 'aria-label': t('signin.ways'), hidden: tabs.length === 1 }, tabs)
  list.addEventListener('keydown', ({ key }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key]
    if (step === undefined) return
    const next = tabs[(tabs.indexOf(document.activeElement) + step + tabs.length) % tabs.length]
    next.focus()
    next.click()
  })
  const panel = h('div', { id: 'signin-panel', role: 'tabpanel' }, body)

  function show(name) {
    for (const tab of tabs) {
      const isChosen = tab.id === `tab-${name}`
      tab.setAttribute('aria-selected', String(isChosen))
      tab.tabIndex = isChosen ? 0 : -1
    }
    panel.setAttribute('aria-labelledby', `tab-${name}`)
    fill(body, { login, signup, code }[name](begun, server))
  }

  const lang = h('select', { 'aria-label': t('language'), class: 'signin-language' },
    Object.entries(languages).map(([value, name]) => h('option', { value, selected: value === language }, name)))
  lang.addEventListener('change', async () => {
    await choose(lang.value)
    element.replaceWith(signin({ server, begun }))
  })
  const element = h('main', { class: 'signin' },
    h('div', { class: 'signin-card' },
      h('img', { src: '/web/icon.svg', alt: '', width: 56, height: 56 }), h('h1', {}, 'chatd'),
      h('p', { class: 'signin-hint' }, t('signin.hint')), list, panel),
    lang)
  show('login')
  document.documentElement.dataset.ready = 'true'
  return element
}

function login(begun) {
  return form([
    field('username', t('signin.nameOrEmail'), { autocomplete: 'username', required: true, autocapitalize: 'none', spellcheck: 'false', maxlength: 254 }),
    field('password', t('signin.password'), { ...PASSWORD, autocomplete: 'current-password' }),
  ], async ({ username, password }) => {
    const who = username.includes('@') ? { email: username } : { username }
    begun(await post('login', { ...who, password, device: device() }))
  }, { yes: t('signin.login') })
}

function inviteField({ signup: way }) {
  return field('invite', t('signin.invite'), { autocomplete: 'off', maxlength: 4096, required: way === 'invite' })
}

function signup(begun, server) {
  const needsInvite = server.signup === 'invite'
  return form([
    field('username', t('signin.username'), { hint: t('signin.usernameHint'), autocomplete: 'username', required: true, minlength: 3, maxlength: 32, autocapitalize: 'none', spellcheck: 'false' }),
    field('password', t('signin.password'), { ...PASSWORD, hint: t('signin.passwordHint'), autocomplete: 'new-password' }),
    needsInvite && inviteField(server),
    h('details', {}, h('summary', {}, t('signin.more')),
      field('nickname', t('signin.nickname'), { autocomplete: 'nickname', maxlength: 50 }),
      field('email', t('signin.email'), { type: 'email', hint: t(server.mail === false ? 'settings.email.noMail' : 'signin.emailHint'), autocomplete: 'email', maxlength: 254 }), !needsInvite && inviteField(server)),
  ], async ({ username, password, nickname, email, invite: token }) => {
    begun(await post('signup', { username, password, device: device(), lang: language, ...given({ nickname, email, invite: token }) }))
  }, { yes: t('signin.signup') })
}

function given(fields) {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value))
}

// By mail: to log in, to sign up with a proved address, or for a new password.
function code(begun, server) {
  const place = h('div', {})

  function ask(known = {}) {
    fill(place, form([
      field('email', t('signin.email'), { type: 'email', autocomplete: 'email', required: true, value: known.email ?? '' }),
      field('purpose', t('signin.purpose'), { tag: 'select' }),
    ], async ({ email, purpose }) => {
      await post('send_code', { email, purpose, lang: language })
      enter(email, purpose)
    }, { yes: t('signin.sendCode') }))
    place.querySelector('select').append(...['login', server.signup !== 'closed' && 'signup', 'reset'].filter(Boolean).map((value) => h('option', { value }, t(`signin.purpose.${value}`))))
  }

  function enter(email, purpose) {
    const fields = [field('code', t('signin.theCode'), { inputmode: 'numeric', pattern: '[0-9]{6}', maxlength: 6, required: true, autocomplete: 'one-time-code' })]
    if (purpose === 'signup') fields.push(field('username', t('signin.username'), { autocomplete: 'username', required: true, minlength: 3, maxlength: 32 }))
    if (purpose === 'signup' && server.signup === 'invite') fields.push(inviteField(server))
    if (purpose !== 'login') fields.push(field('password', t(purpose === 'reset' ? 'signin.newPassword' : 'signin.password'), { ...PASSWORD, autocomplete: 'new-password' }))
    fill(place, h('p', {}, t('signin.codeSent', { email })), form(fields, async ({ code: digits, username, password, invite }) => {
      const proof = { email, code: digits, device: device() }
      if (purpose === 'login') begun(await post('login_code', proof))
      if (purpose === 'signup') begun(await post('signup_code', { ...proof, username, password, lang: language, ...given({ invite }) }))
      if (purpose === 'reset') begun(await post('reset_password', { ...proof, new_password: password }))
    }, { yes: t(`signin.purpose.${purpose}`) }),
    h('button', { type: 'button', class: 'quiet', on: { click: () => ask({ email }) } }, t('signin.again')))
    place.querySelector('input').focus()
  }

  ask()
  return place
}
