// Where the page begins.

import { post } from './api.js'
import { App } from './app.js'
import { Cache } from './cache.js'
import { fill } from './dom.js'
import { frame, ROUTES } from './frame.js'
import { DRAFTS, forget } from './kept.js'
import { load, t } from './language.js'
import { Router } from './router.js'
import * as session from './session.js'
import * as theme from './theme.js'
import { note } from './dialog.js'

const page = document.querySelector('#page')
const router = new Router(ROUTES)
let app = null

// Show what fits: the chats, or the way to them.
async function begin() {
  const known = session.current()
  app?.stop()
  app = null
  clear()
  if (known === null) {
    forget(DRAFTS, sessionStorage)
    forget('chatd.presence')
    const [{ signin }, server] = await Promise.all([import('./views/signin.js'), post('server', {}).catch(() => ({}))])
    show(signin({ server, begun: (begun) => { session.begin(begun); begin() } }))
  } else {
    app = await App.start(known, { router, ended: () => leave(t('session.ended')) })
    show(frame(app, { leave }))
  }
  performance.mark('chatd-ready')
}

// Nothing of who was here before stays on the screen.
function clear() {
  for (const one of document.querySelectorAll('dialog, .menu')) one.remove()
  fill(document.querySelector('#live'))
  document.title = 'chatd'
  navigator.clearAppBadge?.().catch(() => {})
}

function show(element) {
  page.replaceChildren(element)
}

// Forget who is logged in, and what was kept of theirs.
function leave(reason = null) {
  const known = session.current()
  session.end()
  app?.stop()
  if (known !== null) Cache.forget(known.user_id)
  if (reason !== null) note(reason)
  begin()
}

function registered() {
  if (!('serviceWorker' in navigator)) return
  const policy = globalThis.trustedTypes?.createPolicy('chatd', { createScriptURL: (path) => (path === '/worker.js' ? path : '') })
  navigator.serviceWorker.register(policy ? policy.createScriptURL('/worker.js') : '/worker.js').catch(() => {})
}

theme.apply()
await load()
session.whenChanged(() => { if ((session.current()?.token ?? null) !== (app?.session.token ?? null)) begin() })
await begin()
registered()
