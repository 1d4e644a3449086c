// Settings: what others see of me.

import { avatar } from '../avatar.js'
import { confirm, explain, field, form, note, open } from '../dialog.js'
import { fill, h, icon } from '../dom.js'
import { t } from '../language.js'
import { upload } from '../uploads.js'
import { part } from './settings_parts.js'

const SIDE = 512 // pixels of an avatar, at most

export function profile(app, signal) {
  const { connection, model } = app
  const face = h('div', { class: 'settings-face' })
  const files = h('input', { type: 'file', accept: 'image/*', hidden: true, 'aria-label': t('settings.avatar.choose') })
  const choose = h('button', { type: 'button', on: { click: () => files.click() } }, icon('camera'), t('settings.avatar.choose'))
  const remove = h('button', { type: 'button', class: 'quiet', on: { click: () => drop().catch(explain) } }, t('remove'))
  const text = form([
    field('nickname', t('settings.nickname'), { hint: t('settings.nickname.hint'), maxlength: 50, autocomplete: 'nickname' }),
    field('bio', t('settings.bio'), { tag: 'textarea', rows: 3, maxlength: 500 }),
    field('phone', t('settings.phone'), { hint: t('settings.phone.hint'), type: 'tel', maxlength: 32, autocomplete: 'tel' }),
  ], async (fields) => {
    model.described(await connection.change('profile_set', fields))
    note(t('settings.saved'))
  }, { yes: t('save') })
  const given = {} // what stood in a field when it was drawn

  async function drop() {
    if (!await confirm(t('settings.avatar.remove.sure'), { yes: t('remove') })) return
    model.described(await connection.change('profile_set', { avatar_file_id: 0 }))
    choose.focus()
  }

  // What another tab has changed is shown, but for what is being written here.
  function draw() {
    const { user_id, username, nickname, bio, avatar_url, settings } = model.profile
    fill(face, avatar({ name: nickname || username, id: user_id, url: avatar_url }, 'large'))
    remove.hidden = avatar_url === null
    for (const [name, value] of Object.entries({ nickname, bio, phone: settings.phone ?? '' })) {
      const input = text.elements[name]
      if (given[name] === undefined || input.value === given[name]) input.value = value
      given[name] = value
    }
  }

  files.addEventListener('change', () => {
    if (files.files.length > 0) crop(app, files.files[0]).catch(explain)
    files.value = ''
  })
  model.on('profile', draw, { signal })
  draw()
  return h('div', { class: 'stack' },
    h('section', { class: 'card settings-me' }, face,
      h('div', { class: 'stack-small' }, h('h3', {}, `@${model.me.username}`), h('p', { class: 'hint' }, t('settings.username.hint')),
        h('div', { class: 'wrap' }, choose, remove, files)),
      h('a', { href: `#/u/${model.me.user_id}`, class: 'settings-public' }, t('settings.public'))),
    part(t('settings.aboutMe'), text))
}

// Show what will be cut out of a picture, and take it.
async function crop(app, file) {
  let canvas
  try {
    canvas = await square(file)
  } catch {
    note(t('settings.avatar.unknown'), { wrong: true })
    return
  }
  const { close } = open(t('settings.avatar'), form([h('div', { class: 'settings-preview' }, canvas)], async () => {
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, 'image/jpeg', 0.9))
    const { file_id } = await upload(blob, { name: 'avatar.jpg', token: app.session.token, signal: app.stopped, onProgress: () => {} })
    app.model.described(await app.connection.change('profile_set', { avatar_file_id: file_id }))
    close()
    note(t('settings.saved'))
  }, { yes: t('settings.avatar.take') }), { className: 'small' })
}

// The middle of a picture, no larger than is shown anywhere.
async function square(file) {
  const bitmap = await createImageBitmap(file)
  const side = Math.min(bitmap.width, bitmap.height)
  const size = Math.min(side, SIDE)
  const canvas = h('canvas', { width: size, height: size, role: 'img', 'aria-label': t('settings.avatar.preview') })
  const context = canvas.getContext('2d')
  context.fillStyle = '#fff'
  context.fillRect(0, 0, size, size)
  context.drawImage(bitmap, (bitmap.width - side) / 2, (bitmap.height - side) / 2, side, side, 0, 0, size, size)
  bitmap.close()
  return canvas
}
