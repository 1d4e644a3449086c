import { h, icon } from '../dom.js'
import { t } from '../language.js'

const PICTURES = { chats: 'chats', friends: 'people', search: 'search' }

// What stands on the stage while nothing is chosen, and says what to do next.
export function empty(app, { part }) {
  return h('div', { class: 'empty' }, icon(PICTURES[part]), h('h2', {}, t(`empty.${part}`)), h('p', {}, t(`empty.${part}.hint`)))
}
