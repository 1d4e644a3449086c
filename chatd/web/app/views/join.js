// What a link to a group leads to: one comes in on a click, not by looking at it.

import { avatar } from '../avatar.js'
import { explain } from '../dialog.js'
import { fill, h, icon, iconButton } from '../dom.js'
import { enter } from '../joining.js'
import { t } from '../language.js'
import { Problem } from '../problem.js'

const DEAD = ['not_found', 'invalid']

export function join(app, { token }) {
  const { connection, router } = app
  const face = h('div', { class: 'join-face' }, icon('people'))
  const title = h('h1', {}, t('join.title'))
  const count = h('p', { class: 'soft' })
  const words = h('p', {}, t('join.hint'))
  const problem = h('p', { class: 'problem', role: 'alert' })
  const button = h('button', { type: 'button', class: 'primary', on: { click: go } }, t('join.join'))
  const place = h('div', { class: 'wrap join-choices' }, button, h('a', { class: 'button quiet', href: '#/' }, t('join.no')))

  async function go() {
    button.disabled = true
    fill(problem)
    try {
      const { conversation_id } = await connection.change('group_join', { token })
      await enter(app, conversation_id)
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      if (DEAD.includes(error.code)) dead(t('join.dead'))
      else if (error.code === 'already_member') dead(t('join.already'))
      else if (error.code === 'offline') explain(error)
      else fill(problem, error.message)
      button.disabled = false
    }
  }
  function dead(reason) {
    fill(problem, reason)
    const back = h('a', { class: 'button', href: '#/' }, t('join.toChats'))
    fill(place, back)
    words.hidden = true
    back.focus()
  }

  // What it is that one may come into.
  async function load() {
    try {
      const { conversation_id, title: called, avatar_url, member_count, role } = await connection.ask('group_get', { token })
      fill(face, avatar({ name: called, id: conversation_id, url: avatar_url }, 'large'))
      fill(title, called)
      fill(count, t('group.members', { n: member_count }))
      if (role !== null) dead(t('join.already'))
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      if (DEAD.includes(error.code)) dead(t('join.dead'))
      else explain(error)
    }
  }

  const element = h('div', { class: 'pane' },
    h('header', { class: 'pane-head only-narrow' }, iconButton('back', t('back'), () => router.go(''), { class: 'icon-button only-narrow' })),
    h('div', { class: 'scroll join' }, h('section', { class: 'card join-card' }, face, title, count, words, problem, place)))
  element.drawn = load()
  return element
}
