// Choosing an emoji.

import { put } from './dialog.js'
import { fill, h } from './dom.js'
import { EMOJI } from './emoji_table.js'
import { keep, kept } from './kept.js'
import { language, t } from './language.js'

const KEY = 'chatd.emoji'
const RECENT = 24
const FACES = { recent: '🕘', smileys: '😀', people: '👋', hearts: '❤️', nature: '🐻', food: '🍎', things: '💡' }

// What a reaction mostly is.
export const quickEmoji = ['👍', '❤️', '😂', '😮', '😢', '🙏']

const known = new Map() // emoji → { emoji, words }
const groups = Object.entries(EMOJI).map(([group, table]) => [group, table.split('|').map((entry) => {
  const [emoji, ...words] = entry.split(' ')
  known.set(emoji, { emoji, words })
  return known.get(emoji)
})])

// What it is called in the page's language.
function nameOf({ words }) {
  const isEnglish = (word) => /^[\w-]+$/.test(word)
  return (words.find((word) => isEnglish(word) === (language !== 'zh')) ?? words[0]).replaceAll('-', ' ')
}

function recent() {
  const used = kept(KEY, [])
  return Array.isArray(used) ? used.map((emoji) => known.get(emoji)).filter(Boolean) : []
}

function remember(emoji) {
  const used = [emoji, ...recent().map((one) => one.emoji).filter((one) => one !== emoji)]
  keep(KEY, used.slice(0, RECENT))
}

// Open a choice of emoji at `anchor` (an element, or { x, y }). `onPick` is called with the one chosen; with `stay` it
// remains open for more.
export function emojiPicker(anchor, onPick, { stay = false } = {}) {
  document.querySelector('.emoji')?.hidePopover()
  const before = document.activeElement
  const search = h('input', { type: 'search', placeholder: t('emoji.search'), 'aria-label': t('emoji.search'), autocomplete: 'off', maxlength: 40 })
  const place = h('div', { class: 'emoji-place' })
  const tabs = h('div', { class: 'emoji-groups', role: 'group', 'aria-label': t('emoji.groups') })
  const picker = h('div', { class: 'emoji', role: 'dialog', popover: 'auto', 'aria-label': t('emoji.title') }, search, place, tabs)

  function pick(emoji) {
    remember(emoji)
    if (!stay) picker.hidePopover()
    onPick(emoji)
  }

  function section(group, list) {
    const id = `emoji-${group}`
    return h('div', { class: 'emoji-group', role: 'group', 'aria-labelledby': id }, h('p', { class: 'emoji-head', id }, t(`emoji.${group}`)),
      h('div', { class: 'emoji-grid' }, list.map((one) =>
        h('button', { type: 'button', tabindex: '-1', 'aria-label': nameOf(one), title: nameOf(one), on: { click: () => pick(one.emoji) } }, one.emoji))))
  }

  function draw() {
    const words = search.value.trim().toLowerCase().split(/\s+/).filter(Boolean)
    const all = [...known.values()]
    const found = all.filter((one) => words.every((word) => one.emoji === word || one.words.some((own) => own.includes(word))))
      .sort((one, other) => other.words.includes(words[0]) - one.words.includes(words[0])) // whole words first
    const lately = recent()
    if (words.length > 0) fill(place, found.length > 0 ? section('found', found) : h('p', { class: 'emoji-none' }, t('emoji.none')))
    else fill(place, lately.length > 0 && section('recent', lately), groups.map(([group, list]) => section(group, list)))
    fill(tabs, words.length === 0 && [...(lately.length > 0 ? ['recent'] : []), ...Object.keys(EMOJI)].map((group) =>
      h('button', { type: 'button', 'aria-label': t(`emoji.${group}`), title: t(`emoji.${group}`), on: { click: () => jump(group) } }, FACES[group])))
    enter(buttons()[0])
    place.scrollTop = 0
  }

  const buttons = () => [...place.querySelectorAll('button')]

  function jump(group) {
    const head = place.querySelector(`#emoji-${group}`)
    place.scrollTop = head.offsetTop - place.offsetTop
    enter(head.parentElement.querySelector('button'))
    head.parentElement.querySelector('button').focus({ preventScroll: true })
  }

  // One of them takes part in the order of Tab: where the arrows are.
  function enter(button) {
    place.querySelector('button[tabindex="0"]')?.setAttribute('tabindex', '-1')
    button?.setAttribute('tabindex', '0')
  }

  // The nearest one above or below, also across groups.
  function beside(all, button, step) {
    const { left, top } = button.getBoundingClientRect()
    const others = all.map((one) => ({ one, box: one.getBoundingClientRect() })).filter(({ box }) => (box.top - top) * step > 4)
    const away = ({ box }) => Math.abs(box.top - top) * 1000 + Math.abs(box.left - left)
    return others.sort((one, other) => away(one) - away(other))[0]?.one
  }

  place.addEventListener('keydown', (event) => {
    const all = buttons()
    const at = all.indexOf(document.activeElement)
    if (at < 0) return
    const moves = {
      ArrowRight: () => all[at + 1], ArrowLeft: () => all[at - 1], ArrowDown: () => beside(all, all[at], 1),
      ArrowUp: () => beside(all, all[at], -1) ?? search, Home: () => all[0], End: () => all.at(-1),
    }
    if (!(event.key in moves)) return
    event.preventDefault()
    const next = moves[event.key]()
    if (next === undefined) return
    if (next !== search) enter(next)
    next.focus()
  })
  search.addEventListener('input', draw)
  search.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowDown') {
      event.preventDefault()
      buttons()[0]?.focus()
    }
    if (event.key === 'Enter') {
      event.preventDefault()
      buttons()[0]?.click()
    }
  })
  picker.addEventListener('toggle', ({ newState }) => {
    if (newState !== 'closed') return
    const hadFocus = picker.contains(document.activeElement) || document.activeElement === document.body
    picker.remove()
    if (hadFocus) before?.focus?.()
  })
  ;(document.querySelector('dialog[open]:last-of-type') ?? document.body).append(picker)
  draw()
  picker.showPopover()
  put(picker, anchor)
  if (matchMedia('(pointer: coarse)').matches) buttons()[0].focus() // a keyboard on the glass would cover it
  else search.focus()
  return picker
}
