// One moment: who, what, pictures, where, who likes it, and what was said to it.

import { avatar } from '../avatar.js'
import { copy } from '../clipboard.js'
import { confirm, explain, menu, note, open } from '../dialog.js'
import { fill, h, icon, iconButton } from '../dom.js'
import { t } from '../language.js'
import { fresh, freshened } from '../links.js'
import { linked, place } from '../text.js'
import { ago, full } from '../time.js'
import { comments } from './moment_comments.js'

const VISIBLE = { all: 'eye', friends: 'people', private: 'lock' }

// Gives { element, update, name }: `update` takes it as it is now, `name` draws what people are called.
export function moment(app, first, { signal, open: isOpen = false }) {
  const { connection, model } = app
  const id = first.moment_id
  const mine = first.user_id === model.me.user_id
  let now = first

  const face = h('a', { href: `#/u/${first.user_id}`, class: 'moment-face', tabindex: '-1', 'aria-hidden': 'true' })
  const who = h('h2', { class: 'moment-who', id: `moment-${id}` })
  const told = comments(app, first, { signal, open: isOpen })
  const like = h('button', { type: 'button', class: 'quiet moment-like', on: { click: () => toggle().catch(explain) } })
  const count = h('button', { type: 'button', class: 'quiet moment-count', on: { click: () => likers(app, id).catch(explain) } })
  const comment = h('button', { type: 'button', class: 'quiet', on: { click: () => told.write() } }, icon('comment'), t('moments.comment'))
  const more = mine && iconButton('more', t('moments.more'), () => menu(more, [
    { label: t('moments.copyLink'), icon: 'link', act: () => copyLink(id) },
    { label: t('moments.delete'), icon: 'trash', danger: true, act: () => erase().catch(explain) },
  ], t('moments.more')))

  async function toggle() {
    const on = !now.liked
    update({ ...now, liked: on, like_count: Math.max(0, now.like_count + (on ? 1 : -1)) })
    try {
      await connection.change('moment_like', { moment_id: id, on })
    } catch (problem) {
      update({ ...now, liked: !on, like_count: Math.max(0, now.like_count + (on ? -1 : 1)) })
      throw problem
    }
  }

  async function erase() {
    if (!await confirm(t('moments.delete.sure'), { detail: t('moments.delete.detail'), yes: t('moments.delete') })) return
    await connection.change('moment_delete', { moment_id: id })
    note(t('moments.deleted'))
  }

  function name() {
    const called = mine ? model.nameOf(now.user_id) : model.nameOf(now.user_id, now.nickname || now.username)
    fill(face, avatar({ name: called, id: now.user_id, url: mine ? (model.profile?.avatar_url ?? now.avatar_url) : now.avatar_url }))
    fill(who, h('a', { href: `#/u/${now.user_id}` }, called))
    told.name()
  }

  function update(moment) {
    now = moment
    like.setAttribute('aria-pressed', String(moment.liked))
    fill(like, icon('heart'), t('moments.like'))
    count.hidden = moment.like_count === 0
    fill(count, t('moments.likes', { n: moment.like_count }))
    told.update(moment)
  }

  const where = first.location === null ? null : place(first.location)
  const element = h('article', { class: 'card moment', 'aria-labelledby': who.id },
    h('header', { class: 'moment-head' }, face,
      h('div', { class: 'moment-title' }, who,
        h('p', { class: 'moment-when' },
          h('a', { href: `#/moments/${id}`, title: full(first.created_at) }, h('time', { datetime: first.created_at }, ago(first.created_at))),
          mine && h('span', { class: 'moment-visible', title: t(`moments.visible.${first.visibility}`) }, icon(VISIBLE[first.visibility]),
            h('span', { class: 'hidden-text' }, t(`moments.visible.${first.visibility}`))))),
      more),
    first.content !== '' && h('p', { class: 'moment-text' }, linked(first.content)),
    first.images.length > 0 && pictures(app, first),
    where && h('p', { class: 'moment-place' }, icon('place'),
      where.href === null ? where.name : h('a', { href: where.href, target: '_blank', rel: 'noopener noreferrer nofollow' }, where.name)),
    h('div', { class: 'moment-actions' }, like, comment, count),
    told.element)
  name()
  update(first)
  return { element, update, name }
}

async function copyLink(id) {
  if (await copy(`${location.origin}/#/moments/${id}`)) note(t('moments.copied'))
}

// One large, up to four in two columns, or in three.
function pictures(app, { images, content, created_at, user_id, nickname, username }) {
  const shown = () => images.map((file) => ({ file, from: app.model.nameOf(user_id, nickname || username), time: created_at, content }))
  const shape = images.length === 1 ? 'one' : images.length <= 4 ? 'two' : 'three'
  return h('ul', { class: `moment-pictures moment-pictures-${shape}` }, images.map((file, at) => h('li', {},
    h('button', { type: 'button', class: 'moment-picture', 'aria-label': t('moments.picture', { n: at + 1, all: images.length }),
      on: { click: () => show(app, shown(), at) } }, picture(app, file, shape)))))
}

function picture(app, file, shape) {
  const size = shape === 'one' && file.width !== null ? { width: file.width, height: file.height } : {}
  const image = h('img', { alt: '', loading: 'lazy', draggable: 'false', ...size })
  const address = (known) => (shape === 'one' ? known.url : known.thumbnail_url ?? known.url)
  if (fresh(address(file))) image.src = address(file)
  else freshened(app.connection, file).then((renewed) => { image.src = address(renewed) }).catch(explain)
  return image
}

async function show(app, images, at) {
  const { view } = await import('../viewer.js')
  view(app, images, at)
}

// Who likes it, of those one knows.
async function likers(app, id) {
  const likes = await app.all('moment_likes', 'likes', (last) => ({ after_user_id: last.user_id }), { moment_id: id })
  const { close } = open(t('moments.likers'), h('ul', { class: 'list' }, likes.map(({ user_id, username, nickname, avatar_url, created_at }) => {
    const called = app.model.nameOf(user_id, nickname || username)
    return h('li', {}, h('a', { class: 'row', href: `#/u/${user_id}`, on: { click: () => close() } },
      avatar({ name: called, id: user_id, url: avatar_url }),
      h('span', { class: 'row-main' }, h('span', { class: 'row-title' }, called)),
      h('span', { class: 'row-sub' }, `@${username} · ${ago(created_at)}`)))
  })), { className: 'small' })
}
