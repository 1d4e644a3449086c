// Asking somebody to be friends, and what became of it; and a first word where it takes no asking.

import { confirm, field, form, note, open, prompt } from './dialog.js'
import { enter } from './joining.js'
import { t } from './language.js'

// The requests of mine that nobody has answered yet.
export function sentRequests(app) {
  return app.all('friend_requests', 'requests', (last) => ({ before_request_id: last.request_id }), { box: 'sent', status: 'pending' })
}

// Ask `person` ({ user_id, name }), with a few words if one likes.
export function askToBeFriends(app, { user_id, name }) {
  const element = form(
    [field('note', t('friends.note'), { hint: t('friends.noteHint', { name }), tag: 'textarea', rows: 3, maxlength: 255 })],
    async (fields) => {
      const { state } = await app.connection.change('friend_request', { to_user_id: user_id, note: fields.note.trim() })
      close()
      note(t(state === 'friends' ? 'friends.areFriends' : 'friends.asked', { name }))
    }, { yes: t('friends.send') })
  const { close } = open(t('friends.askTitle', { name }), element, { className: 'small' })
  element.elements.note.focus()
}

// Write to somebody with whom there is no conversation yet.
export function writeTo(app, { user_id, name }) {
  const element = form(
    [field('content', t('composer.text'), { tag: 'textarea', rows: 3, maxlength: 2000, required: true })],
    async ({ content }) => {
      const { conversation_id } = await app.connection.change('send', { to_user_id: user_id, content: content.trim() })
      close()
      await enter(app, conversation_id)
    }, { yes: t('composer.send') })
  const { close } = open(t('person.messageTo', { name }), element, { className: 'small' })
  element.elements.content.focus()
}

const underway = new Set() // requests that are being answered: a second click means nothing

// Accept or reject a request to me, or take back one of mine.
export async function answer(app, requestId, accept) {
  if (underway.has(requestId)) return
  underway.add(requestId)
  try {
    await app.connection.change('friend_respond', { request_id: requestId, accept })
  } finally {
    underway.delete(requestId)
  }
}

// Give a friend a name of one's own.
export async function rename(app, { user_id, username, remark }) {
  const wanted = await prompt(t('person.remark'), { label: t('person.remarkHint', { name: username }), value: remark, most: 50, optional: true })
  if (wanted !== null && wanted !== remark) await app.connection.change('friend_remark', { user_id, remark: wanted })
}

// End a friendship. Whether it was.
export async function part(app, { user_id, name }) {
  const sure = await confirm(t('person.removeAsk', { name }), { detail: t('person.removeDetail'), yes: t('person.remove') })
  if (sure) await app.connection.change('friend_remove', { user_id })
  return sure
}

export async function block(app, { user_id, name }) {
  const sure = await confirm(t('person.blockAsk', { name }), { detail: t('person.blockDetail'), yes: t('person.block') })
  if (sure) await app.connection.change('block', { user_id })
}

export async function unblock(app, { user_id, name }) {
  const sure = await confirm(t('person.unblockAsk', { name }), { detail: t('person.unblockDetail'), yes: t('person.unblock'), danger: false })
  if (sure) await app.connection.change('unblock', { user_id })
}
