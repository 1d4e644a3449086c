// Who is logged in with this browser. Tabs tell each other by the `storage` event.

import { kept } from './kept.js'

const KEY = 'chatd.session'

// { token, user_id, username }, or null.
export function current() {
  return kept(KEY, null)
}

export function begin({ token, user_id, username }) {
  localStorage.setItem(KEY, JSON.stringify({ token, user_id, username }))
}

export function end() {
  localStorage.removeItem(KEY)
}

// Call back when another tab has logged in or out.
export function whenChanged(callback) {
  addEventListener('storage', ({ key }) => { if (key === KEY || key === null) callback() })
}

// What this device is called among the sessions.
export function device() {
  const brand = /Edg|OPR|Firefox|Chrome|Safari/.exec(navigator.userAgent)?.[0] ?? 'Browser'
  const system = /Android|iPhone|iPad|Windows|Mac OS X|Linux/.exec(navigator.userAgent)?.[0]
  const names = { Edg: 'Edge', OPR: 'Opera' }
  return [names[brand] ?? brand, system].filter(Boolean).join(', ')
}
