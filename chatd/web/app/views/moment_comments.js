// What was said to a moment: the first of it, all of it when asked for, and a line to say something oneself.

import { explain, confirm, form } from '../dialog.js'
import { fill, h, icon, iconButton } from '../dom.js'
import { t } from '../language.js'
import { linked } from '../text.js'
import { ago, full } from '../time.js'

// Gives { element, update, name, write }. With `open` all comments are there, and the line to write one.
export function comments(app, first, { signal, open }) {
  const { connection, model } = app
  const id = first.moment_id
  const isMyMoment = first.user_id === model.me.user_id
  const rows = new Map() // comment_id → { element, name }
  let all = null
  let now = first
  let replied = null

  const list = h('ul', { class: 'moment-said' })
  const rest = h('button', { type: 'button', class: 'moment-link', hidden: true, on: { click: () => expand().catch(explain) } })
  const input = h('textarea', { name: 'content', rows: 1, maxlength: 2000, required: true, autocomplete: 'off' })
  const reply = h('p', { class: 'moment-answer-reply', hidden: true })
  const writing = form([reply, input], async ({ content }) => {
    const said = content.trim()
    if (said === '') return
    await connection.change('moment_comment', { moment_id: id, content: said, ...(replied === null ? {} : { reply_to: replied.comment_id }) })
    input.value = ''
    answer(null)
    await expand()
  }, { yes: t('moments.send'), className: 'moment-answer-form' })
  input.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault()
      writing.requestSubmit()
    } else if (event.key === 'Escape') {
      if (replied !== null) answer(null)
      else if (!open && input.value === '') writing.hidden = true
    }
  })
  const element = h('div', { class: 'moment-comments' }, list, rest, writing)

  async function expand() {
    all = await app.all('moment_comments', 'comments', (last) => ({ after_comment_id: last.comment_id }), { moment_id: id })
    if (!signal.aborted) draw()
  }

  // Whom the next comment answers, or nobody.
  function answer(comment) {
    replied = comment
    reply.hidden = comment === null
    const called = comment === null ? '' : model.nameOf(comment.user_id, comment.username)
    fill(reply, comment !== null && [icon('reply'), h('span', {}, t('moments.replyTo', { name: called })),
      iconButton('close', t('moments.replyToNobody'), () => { answer(null); input.focus() })])
    input.setAttribute('aria-label', comment === null ? t('moments.write') : t('moments.replyTo', { name: called }))
    input.setAttribute('placeholder', t('moments.write'))
  }

  function write(comment = null) {
    writing.hidden = false
    answer(comment)
    input.focus()
  }

  async function erase({ comment_id, content }) {
    if (!await confirm(t('moments.comment.sure'), { detail: content, yes: t('moments.delete') })) return
    await connection.change('moment_comment_delete', { comment_id })
    now = { ...now, comment_count: now.comment_count - 1, comments: now.comments.filter((one) => one.comment_id !== comment_id) }
    all = all?.filter((one) => one.comment_id !== comment_id) ?? null
    draw()
  }

  function row(comment) {
    const { comment_id, user_id, username, to_user_id, to_username, content, created_at } = comment
    const mine = user_id === model.me.user_id
    const whose = h('span', { class: 'moment-answer-who' })
    const buttons = h('span', { class: 'moment-answer-buttons' })
    function name() {
      const called = model.nameOf(user_id, username)
      fill(whose, h('a', { href: `#/u/${user_id}` }, called),
        to_user_id !== null && [h('span', { class: 'soft' }, ` ${t('moments.to')} `), h('a', { href: `#/u/${to_user_id}` }, model.nameOf(to_user_id, to_username))])
      buttons.firstElementChild?.setAttribute('aria-label', t('moments.replyTo', { name: called }))
      buttons.children[1]?.setAttribute('aria-label', t('moments.comment.delete', { name: called }))
    }
    buttons.append(h('button', { type: 'button', class: 'moment-link', on: { click: () => write(comment) } }, t('moments.reply')))
    if (mine || isMyMoment) buttons.append(h('button', { type: 'button', class: 'moment-link', on: { click: () => erase(comment).catch(explain) } }, t('moments.delete')))
    name()
    return { name, element: h('li', { class: 'moment-answer', dataset: { id: comment_id } },
      h('p', { class: 'moment-answer-text' }, whose, ' ', linked(content)),
      h('p', { class: 'moment-answer-foot' }, h('time', { datetime: created_at, title: full(created_at) }, ago(created_at)), buttons)) }
  }

  // Rows that are there stay, so that the focus does.
  function draw() {
    const shown = all ?? now.comments
    const wanted = new Set(shown.map(({ comment_id }) => comment_id))
    for (const [key, { element: gone }] of rows) {
      if (wanted.has(key)) continue
      gone.remove()
      rows.delete(key)
    }
    for (const [at, comment] of shown.entries()) {
      if (!rows.has(comment.comment_id)) rows.set(comment.comment_id, row(comment))
      const { element: there } = rows.get(comment.comment_id)
      if (list.children[at] !== there) list.insertBefore(there, list.children[at] ?? null)
    }
    list.hidden = shown.length === 0
    rest.hidden = all !== null || now.comment_count <= shown.length
    fill(rest, t('moments.showAll', { n: now.comment_count }))
  }

  function update(moment) {
    now = moment
    draw()
    if (all !== null || open) expand().catch(explain)
  }

  function name() {
    for (const one of rows.values()) one.name()
  }

  answer(null)
  writing.hidden = !open
  return { element, update, name, write }
}
