// Light or dark: what the system says, unless the user said otherwise.

const KEY = 'chatd.theme'

// 'light', 'dark', or null for the system's.
export function chosen() {
  return localStorage.getItem(KEY)
}

export function choose(theme) {
  if (theme === null) localStorage.removeItem(KEY)
  else localStorage.setItem(KEY, theme)
  apply()
}

export function apply() {
  const theme = chosen()
  if (theme === null) delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = theme
}
