// Dialogs that ask whom one means.

import { avatar } from './avatar.js'
import { chooser, friendsOf, isMeant } from './chooser.js'
import { open } from './dialog.js'
import { h, icon } from './dom.js'
import { t } from './language.js'
import { titleOf } from './views/conversations.js'

// Choose from `people`, or from the friends: at least `min`, and `most` at most. Resolves to them, or to null.
export function pickPeople(app, { title, yes = t('ok'), people = friendsOf(app.model), most = 200, min = 1 }) {
  return new Promise((resolve) => {
    let answer = null
    const button = h('button', { type: 'button', class: 'primary', disabled: min > 0, on: { click: () => { answer = choice.chosen(); close() } } }, yes)
    const choice = chooser(app.model, {
      people, most, changed: (chosen) => { button.disabled = chosen.length < min || chosen.length > most },
    })
    const { close } = open(title, choice.element, {
      onClose: () => resolve(answer),
      actions: [h('button', { type: 'button', class: 'quiet', on: { click: () => close() } }, t('cancel')), button],
    })
    choice.focus()
  })
}

// Choose where something goes: a conversation, the newest first, or a friend to whom nothing was said yet. Resolves to
// { conversation_id }, { to_user_id }, or null.
export function pickTargets(app, { title }) {
  const { model, rules } = app
  const conversations = [...model.conversations.values()].filter((one) => canWrite(model, rules, one))
    .sort((one, other) => other.pinned - one.pinned || (other.last_at ?? '').localeCompare(one.last_at ?? ''))
  const strangers = friendsOf(model).filter(({ user_id }) => model.direct(user_id) === undefined)
  return new Promise((resolve) => {
    let answer = null
    const rows = [...conversations.map((one) => ofConversation(one)), ...strangers.map((person) => ofPerson(person))]
    const filter = h('input', { type: 'search', placeholder: t('chats.filter'), 'aria-label': t('chats.filter'), autocomplete: 'off' })
    const none = h('p', { class: 'hint', role: 'status' })
    const list = h('ul', { class: 'chooser-list', 'aria-label': title }, rows.map(({ element }) => element))

    function row(target, face, sub, isIt) {
      const button = h('button', { type: 'button', class: 'row', on: { click: () => { answer = target; close() } } }, avatar(face),
        h('span', { class: 'row-main' }, h('span', { class: 'row-title' }, face.name)),
        h('span', { class: 'row-sub' }, h('span', { class: 'row-text' }, sub)))
      return { isIt, button, element: h('li', {}, button) }
    }
    function ofConversation(one) {
      const name = titleOf(model, one)
      const known = one.peer ? model.people.get(one.peer.user_id) : null
      const face = { name, id: one.peer?.user_id ?? one.id, url: known?.avatar_url ?? one.peer?.avatar_url ?? one.avatar_url, status: known?.status ?? null }
      const sub = one.peer ? `@${one.peer.username}` : one.kind === 'group' ? t('group.members', { n: one.member_count ?? 0 }) : ''
      return row({ conversation_id: one.id }, face, sub, (wanted) => isMeant({ username: one.peer?.username ?? '', nickname: name }, wanted))
    }
    function ofPerson(person) {
      const face = { name: model.nameOf(person.user_id), id: person.user_id, url: person.avatar_url, status: person.status }
      return row({ to_user_id: person.user_id }, face, `@${person.username}`, (wanted) => isMeant(person, wanted))
    }
    function sift() {
      const wanted = filter.value.trim().replace(/^@/, '')
      for (const { element, isIt } of rows) element.hidden = !isIt(wanted)
      none.textContent = rows.every(({ element }) => element.hidden) ? t('chats.noneFound') : ''
    }
    function shown() {
      return rows.filter(({ element }) => !element.hidden).map(({ button }) => button)
    }

    filter.addEventListener('input', sift)
    filter.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && filter.value.trim() !== '') shown()[0]?.click()
      if (event.key === 'ArrowDown') shown()[0]?.focus()
      if (['Enter', 'ArrowDown'].includes(event.key)) event.preventDefault()
    })
    list.addEventListener('keydown', (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
      if (step === undefined) return
      event.preventDefault()
      const buttons = shown()
      ;(buttons[buttons.indexOf(document.activeElement) + step] ?? filter).focus()
    })
    sift()
    const { close } = open(title, h('div', { class: 'chooser' }, h('div', { class: 'chooser-filter' }, icon('search'), filter), none, list), {
      onClose: () => resolve(answer),
    })
    filter.focus()
  })
}

// Who has left a group, or lost a friend where it takes one, does not write there any more.
function canWrite(model, rules, { kind, has_left, peer }) {
  return kind === 'group' ? !has_left : kind === 'self' || rules.withStrangers || model.friends.has(peer?.user_id)
}
