// Choosing people from a list, with a filter: part of a dialog.

import { avatar } from './avatar.js'
import { h, icon } from './dom.js'
import { t } from './language.js'
import { refill } from './rows.js'

// The friends of this user, by name.
export function friendsOf(model) {
  return byName(model, [...model.friends].map((id) => model.people.get(id)).filter(Boolean))
}

export function byName(model, people) {
  const named = people.map((person) => ({ person, name: model.nameOf(person.user_id, person.username) }))
  return named.sort((one, other) => one.name.localeCompare(other.name)).map(({ person }) => person)
}

// Whether somebody is meant by what was typed: a part of any of their names.
export function isMeant({ username, nickname = '', remark = '' }, wanted) {
  const part = wanted.toLocaleLowerCase()
  return [username, nickname, remark].some((name) => (name ?? '').toLocaleLowerCase().includes(part))
}

// An element to choose from `people`; `changed` is called with those chosen. { element, chosen(), focus() }.
export function chooser(model, { people, most = 200, changed = () => {} }) {
  const chosen = new Map()
  const chips = h('ul', { class: 'chips', 'aria-label': t('picker.chosen') })
  const filter = h('input', { type: 'search', placeholder: t('picker.filter'), 'aria-label': t('picker.filter'), autocomplete: 'off' })
  const none = h('p', { class: 'hint', role: 'status' })
  const rows = people.map((person) => ({ person, ...row(person) }))
  const list = h('ul', { class: 'chooser-list', 'aria-label': t('picker.people') }, rows.map(({ element }) => element))

  function row(person) {
    const name = nameOf(person)
    const box = h('input', { type: 'checkbox', on: { change: () => choose(person, box.checked) } })
    const element = h('li', {}, h('label', { class: 'row pick' },
      avatar({ name, id: person.user_id, url: person.avatar_url, status: person.status ?? null }),
      h('span', { class: 'row-main' }, h('span', { class: 'row-title' }, name)),
      h('span', { class: 'row-sub' }, h('span', { class: 'row-text' }, `@${person.username}`)), box))
    return { box, element }
  }
  function nameOf({ user_id, nickname, username }) {
    return model.nameOf(user_id, nickname || username)
  }
  function choose(person, on) {
    if (on && most === 1) chosen.clear() // another instead
    if (on) chosen.set(person.user_id, person)
    else chosen.delete(person.user_id)
    for (const one of rows) {
      one.box.checked = chosen.has(one.person.user_id)
      one.box.disabled = most > 1 && chosen.size >= most && !one.box.checked
    }
    refill(chips, [...chosen.values()].map((one) => h('li', {}, h('button', {
      type: 'button', class: 'chip', 'aria-label': t('picker.unchoose', { name: nameOf(one) }), on: { click: () => choose(one, false) },
    }, nameOf(one), icon('close')))))
    if (chosen.size === 0 && document.activeElement === document.body) filter.focus()
    changed([...chosen.values()])
  }
  function sift() {
    const wanted = filter.value.trim().replace(/^@/, '')
    for (const { person, element } of rows) element.hidden = !isMeant(person, wanted)
    const isNobody = rows.every(({ element }) => element.hidden)
    none.textContent = people.length === 0 ? t('picker.noFriends') : isNobody ? t('picker.none') : ''
  }

  // Enter takes the first; the arrows go through the list.
  filter.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') {
      event.preventDefault()
      const first = rows.find(({ element, box }) => !element.hidden && !box.disabled)
      if (first === undefined || filter.value.trim() === '') return
      choose(first.person, !first.box.checked)
      filter.value = ''
      sift()
    } else if (event.key === 'ArrowDown') {
      event.preventDefault()
      rows.find(({ element }) => !element.hidden)?.box.focus()
    } else if (event.key === 'Escape' && filter.value !== '') {
      event.preventDefault() // the dialog stays open
      filter.value = ''
      sift()
    }
  })
  list.addEventListener('keydown', (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (step === undefined) return
    event.preventDefault()
    const shown = rows.filter(({ element }) => !element.hidden).map(({ box }) => box)
    const next = shown[shown.indexOf(document.activeElement) + step]
    if (next !== undefined) next.focus()
    else if (step === -1) filter.focus()
  })
  filter.addEventListener('input', sift)
  sift()
  return {
    element: h('div', { class: 'chooser' }, chips, people.length > 0 && h('div', { class: 'chooser-filter' }, icon('search'), filter), none, list),
    chosen: () => [...chosen.values()],
    focus: () => filter.focus(),
  }
}
