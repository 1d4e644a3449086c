// What the pages of the settings are made of.

import { h } from '../dom.js'

// A part of a page: a heading, and what belongs to it.
export function part(title, ...content) {
  return h('section', { class: 'card' }, h('h3', {}, title), content)
}

// A box or a dot to choose, with what it is called and what it does.
export function choice(input, label, hint = '', id = null) {
  return h('div', { class: 'settings-choice' }, h('label', { class: 'choice' }, input, h('span', {}, label)), hint !== '' && h('p', { class: 'hint', id }, hint))
}
