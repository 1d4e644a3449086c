// A choice of one among a few, each with a line that says what it means.

import { h } from './dom.js'

// `entries`: [value, label, hint, picture]. `changed` is called with the value when another is chosen.
export function options(name, legend, entries, chosen, changed = null) {
  return h('fieldset', { class: 'options' }, h('legend', {}, legend),
    entries.map(([value, label, hint = '', picture = null]) => {
      const id = `option-${name}-${value}`
      const described = hint === '' ? {} : { 'aria-describedby': `${id}-hint` }
      const input = h('input', { type: 'radio', id, name, value, checked: value === chosen, ...described })
      if (changed !== null) input.addEventListener('change', () => changed(value))
      return h('div', { class: 'option' }, input, h('label', { for: id }, picture, label),
        hint !== '' && h('p', { class: 'hint', id: `${id}-hint` }, hint))
    }))
}
