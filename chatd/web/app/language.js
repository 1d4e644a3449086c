// The words of the page, in the language chosen, or else the browser's.

const LANGUAGES = { en: 'English', zh: '中文' }
const KEY = 'chatd.language'

let words = {}
export let language = 'en'

export const languages = LANGUAGES

// What was chosen: 'en', 'zh', or null for the browser's own.
export function chosen() {
  return localStorage.getItem(KEY)
}

export function choose(lang) {
  if (lang === null) localStorage.removeItem(KEY)
  else localStorage.setItem(KEY, lang)
  return load()
}

export async function load() {
  const wanted = [chosen(), ...navigator.languages].map((tag) => (tag ?? '').slice(0, 2))
  language = wanted.find((tag) => tag in LANGUAGES) ?? 'en'
  words = (await import(`./words/${language}.js`)).default
  document.documentElement.lang = language
}

// The words for `key`, with each {name} filled in. Where they depend on a number, `n` chooses: { one, other }.
export function t(key, values = {}) {
  let text = words[key]
  if (text === undefined) throw new Error(`no words for ${key} in ${language}`)
  if (typeof text === 'object') text = text[new Intl.PluralRules(language).select(values.n)] ?? text.other
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '')
}
