// How people come into a group, for those who decide it: the rule, who waits to be let in, and links.

import { avatar } from '../avatar.js'
import { copy } from '../clipboard.js'
import { confirm, explain, field, form, note, open } from '../dialog.js'
import { h, iconButton } from '../dom.js'
import { t } from '../language.js'
import { options } from '../options.js'
import { refill, Rows } from '../rows.js'
import { instant } from '../time.js'
import { waysIn } from './new_group.js'

const USES = [0, 1, 10, 100]
const HOURS = [0, 1, 24, 24 * 7, 24 * 30]

// { element, requests, show(info), load() }: `info` is what group_get gives, or null where I may decide nothing.
export function groupEntry(app, groupId, signal) {
  const { connection, model } = app
  const waiting = h('ul', { class: 'list' })
  const waitingRows = new Rows(waiting)
  const heading = h('h2', {})
  const requests = h('section', { class: 'card', tabindex: '-1', hidden: true }, heading, waiting)
  const rule = h('div', {})
  const links = h('ul', { class: 'links' })
  const linkRows = new Rows(links)
  const none = h('p', { class: 'hint' })
  const element = h('section', { class: 'card', tabindex: '-1', hidden: true },
    h('h2', {}, t('group.entry')), rule,
    h('header', { class: 'card-head' }, h('h3', {}, t('group.links')), h('button', { type: 'button', on: { click: newLink } }, t('group.newLink'))),
    none, links)
  let info = null

  function show(group, { anew = false } = {}) {
    const isSame = info?.joining === group?.joining && !anew
    info = group
    element.hidden = info === null
    if (info === null) requests.hidden = true
    else if (!isSame) refill(rule, options('group-joining', t('group.joining'), waysIn(), info.joining, setRule))
  }

  async function setRule(joining) {
    try {
      await connection.change('group_update', { conversation_id: groupId, joining })
    } catch (problem) {
      show(info, { anew: true })
      explain(problem)
    }
  }

  // Links

  function row({ id, token, uses_left, expires_at, by_username }) {
    const address = `${location.origin}/#/join/${token}`
    const bounds = [
      uses_left === null ? t('group.linkAnyUses') : t('group.linkLeft', { n: uses_left }),
      expires_at === null ? t('group.linkForEver') : t('group.linkUntil', { time: instant(expires_at) }), `@${by_username}`,
    ]
    return h('div', { class: 'row-line' },
      h('div', { class: 'link-words' }, h('p', { class: 'link-address' }, address), h('p', { class: 'hint' }, bounds.join(' · '))),
      iconButton('copy', t('group.copyLink'), () => copied(address)),
      iconButton('trash', t('group.revokeLink'), () => revoke(id)))
  }
  async function copied(address) {
    note(await copy(address) ? t('group.linkCopied') : address)
  }
  async function revoke(id) {
    if (!await confirm(t('group.revokeAsk'), { detail: t('group.revokeDetail'), yes: t('group.revokeLink') })) return
    connection.change('group_link_revoke', { conversation_id: groupId, link_id: id }).then(load).catch(explain)
  }
  function newLink() {
    const choice = (name, values, words) => {
      const whole = field(name, t(`group.link.${name}`), { tag: 'select' })
      whole.querySelector('select').append(...values.map((n) => h('option', { value: n }, words(n))))
      return whole
    }
    const content = form([
      choice('uses', USES, (n) => (n === 0 ? t('group.linkAnyUses') : t('group.linkUses', { n }))),
      choice('hours', HOURS, (n) => t(`group.link.hours.${n}`)),
    ], async ({ uses, hours }) => {
      const bounds = Object.fromEntries(Object.entries({ uses, hours }).map(([name, value]) => [name, Number(value)]).filter(([, n]) => n > 0))
      const { token } = await connection.change('group_link', { conversation_id: groupId, ...bounds })
      close()
      await copied(`${location.origin}/#/join/${token}`)
      await load()
    }, { yes: t('group.makeLink') })
    const { close } = open(t('group.newLink'), content, { className: 'small' })
  }

  // Who waits

  function drawWaiting({ id, username, name, words }) {
    return h('div', { class: 'request' },
      h('a', { class: 'row', href: `#/u/${id}` }, avatar({ name, id }),
        h('span', { class: 'row-main' }, h('span', { class: 'row-title' }, name)), h('span', { class: 'row-sub' }, h('span', { class: 'row-text' }, `@${username}`))),
      words !== '' && h('p', { class: 'request-note' }, words),
      h('div', { class: 'request-choices' },
        h('button', { type: 'button', class: 'primary', 'aria-label': t('group.letInOf', { name }), on: { click: () => respond(id, true) } }, t('group.letIn')),
        h('button', { type: 'button', 'aria-label': t('friends.rejectOf', { name }), on: { click: () => respond(id, false) } }, t('friends.reject'))))
  }
  function respond(userId, accept) {
    connection.change('group_respond', { conversation_id: groupId, user_id: userId, accept }).then(load).catch(explain)
  }

  async function load() {
    if (info === null) return
    const [asking, linking] = await Promise.all([
      connection.ask('group_requests', { conversation_id: groupId, limit: 200 }), connection.ask('group_links', { conversation_id: groupId }),
    ])
    if (signal.aborted || info === null) return
    requests.hidden = asking.requests.length === 0
    heading.textContent = t('group.waiting', { n: asking.requests.length })
    waitingRows.show(asking.requests.map(({ user_id: id, username, nickname, note: words }) =>
      ({ id, username, name: model.nameOf(id, nickname || username), words })), drawWaiting)
    none.textContent = linking.links.length === 0 ? t('group.noLinks') : ''
    linkRows.show(linking.links, row)
  }

  return { element, requests, show, load }
}
