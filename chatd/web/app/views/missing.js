import { fill, h, icon } from '../dom.js'
import { t } from '../language.js'

// What stands for a conversation that we have not heard of, until it comes: `view` gives its element then. Nobody knows
// before the first `sync` whether it is there.
export function missing({ connection, model }, id, signal, view) {
  const element = h('div', { class: 'empty' })
  element.drawn = new Promise((drawn) => {
    function look() {
      if (model.conversations.has(id) && element.isConnected) {
        const found = view()
        element.replaceWith(found)
        drawn(found.drawn)
      } else if (model.isKnown) {
        fill(element, icon('chats'), h('h1', {}, t('conversation.missing')), h('a', { class: 'button', href: '#/' }, t('back')))
        drawn()
      }
    }
    model.on('conversations', look, { signal })
    connection.on('state', (state) => { if (state === 'waiting') drawn() }, { signal })
    look()
  })
  return element
}
