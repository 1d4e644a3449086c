// What the entries of a log make of messages. Pure: each gives a new message, or null where nothing changes.
//
// A message is what `history` gives, and `applied`: the last entry of its log that it contains. An entry may come again
// (from another tab, or after a cut) and must not count twice.

// The message that a `message` event tells of.
export function written({ conversation_id, seq, data }) {
  const { message_id, ...rest } = data
  return {
    ...rest, id: message_id, conversation_id, seq, applied: seq,
    edited_at: null, reactions: [], pinned: false, is_read: false, is_delivered: false,
  }
}

function upTo(message, seq, change) {
  return message.applied >= seq ? null : { ...message, ...change(message), applied: seq }
}

export function edited(message, { seq, data }) {
  return upTo(message, seq, () => message.recalled_at ? {} : { content: data.content, edited_at: data.edited_at })
}

const NOTHING_LEFT = { content: '', mentions: [], mentions_all: false, reply_to: null, reactions: [], pinned: false, file: null }

export function recalled(message, { seq, data }) {
  return upTo(message, seq, () => ({ ...NOTHING_LEFT, recalled_at: data.recalled_at, recalled_by: data.by_user_id }))
}

// The account of somebody was erased: what they wrote before is as if recalled.
export function erased(message, { seq, data }) {
  if (message.from_user_id !== data.user_id || message.seq >= seq) return null
  return upTo(message, seq, () => ({
    ...NOTHING_LEFT, from_username: data.username, recalled_at: message.recalled_at ?? message.created_at,
  }))
}

export function reacted(message, { seq, data }, me) {
  return upTo(message, seq, () => ({ reactions: counted(message.reactions, data, me) }))
}

function counted(reactions, { user_id, emoji, on }, me) {
  const known = reactions.find((one) => one.emoji === emoji)
  if (known === undefined) return on ? [...reactions, { emoji, count: 1, mine: user_id === me }] : reactions
  const count = known.count + (on ? 1 : -1)
  const changed = { emoji, count, mine: user_id === me ? on : known.mine }
  return reactions.map((one) => (one === known ? changed : one)).filter((one) => one.count > 0)
}

export function pinned(message, { seq, data }) {
  return upTo(message, seq, () => ({ pinned: data.on }))
}

// An entry that is shown between messages: who came and went, what the group is called.
export function notice({ event, conversation_id, seq, data }, created_at) {
  return { kind: 'notice', event, conversation_id, seq, applied: seq, created_at, data, id: null, from_user_id: data.by_user_id }
}
