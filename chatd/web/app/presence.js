// What others see of me: that I am there, away, not to be disturbed, or nothing; and a few words of mine beside it.
// The server forgets it with the connection, this browser does not.

import { keep, kept } from './kept.js'

const KEY = 'chatd.presence'
const IDLE = 10 * 60_000 // ms without a sign of the user after which they are away
const SIGNS = ['pointerdown', 'pointermove', 'keydown', 'wheel', 'touchstart', 'focus']

export const STATUSES = ['online', 'away', 'dnd', 'invisible']

// { status, text } as this user has chosen on this device.
export function chosen({ user_id }) {
  const said = kept(KEY, {})
  return said.user_id === user_id ? { status: said.status, text: said.text } : { status: 'online', text: '' }
}

// Show others something else from now on.
export function choose(app, { status, text }) {
  keep(KEY, { user_id: app.model.me.user_id, status, text })
  tell(app)
}

function tell(app, { idle = false } = {}) {
  const { status, text } = chosen(app.model.me)
  app.connection.say('presence_set', { status: idle && status === 'online' ? 'away' : status, text })
  app.model.emit('presence')
}

// Tell the server whenever it has forgotten, and that I am away while nobody touches anything.
export function keepPresence(app) {
  const signal = app.stopped
  let seen = Date.now()
  let idle = false
  let timer = setTimeout(check, IDLE)

  function check() {
    const rest = seen + IDLE - Date.now()
    idle = rest <= 0
    if (idle) tell(app, { idle })
    else timer = setTimeout(check, rest)
  }
  function sign() {
    seen = Date.now()
    if (!idle) return
    idle = false
    tell(app)
    timer = setTimeout(check, IDLE)
  }

  for (const name of SIGNS) addEventListener(name, sign, { signal, passive: true, capture: true })
  addEventListener('storage', ({ key }) => { if (key === KEY) tell(app, { idle }) }, { signal })
  signal.addEventListener('abort', () => clearTimeout(timer))
  app.connection.on('state', (state) => {
    const { status, text } = chosen(app.model.me)
    if (state === 'ready' && (idle || status !== 'online' || text !== '')) tell(app, { idle })
  }, { signal })
}
