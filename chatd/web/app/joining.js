// Coming into a group, and to what is said there.

import { note, prompt } from './dialog.js'
import { t } from './language.js'

const PATIENCE = 5000 // ms for the conversation to be told of

// Go to a conversation that has just begun, once it is known here.
export async function enter(app, id) {
  const { model, router, stopped } = app
  if (!model.conversations.has(id)) {
    await new Promise((resolve) => {
      const abort = new AbortController()
      const done = () => { abort.abort(); resolve() }
      model.on('conversations', () => { if (model.conversations.has(id)) done() }, { signal: abort.signal })
      setTimeout(done, PATIENCE)
    })
  }
  if (!stopped.aborted) router.go(`c/${id}`)
}

// Join a group that needs no link, or ask its admins to be let in. 'joined', 'pending', or null if one thought better of it.
export async function join(app, { conversation_id, title, joining }) {
  let words = ''
  if (joining === 'approve') {
    words = await prompt(t('group.askTitle', { title }), { label: t('group.askNote'), yes: t('group.ask'), optional: true })
    if (words === null) return null
  }
  const { state } = await app.connection.change('group_join', { conversation_id, note: words })
  if (state === 'joined') await enter(app, conversation_id)
  else note(t('group.asked'))
  return state
}
