// What a link to a group leads to: one comes in on a click, not by looking at it.

import { explain } from '../dialog.js'
import { fill, h, icon, iconButton } from '../dom.js'
import { enter } from '../joining.js'
import { t } from '../language.js'
import { Problem } from '../problem.js'

const DEAD = ['not_found', 'invalid']

export function join(app, { token }) {
  const { connection, router } = app
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

  return h('div', { class: 'pane' },
    h('header', { class: 'pane-head only-narrow' }, iconButton('back', t('back'), () => router.go(''), { class: 'icon-button only-narrow' })),
    h('div', { class: 'scroll join' }, h('section', { class: 'card join-card' }, icon('people'), h('h1', {}, t('join.title')), words, problem, place)))
}
