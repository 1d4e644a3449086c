// Where a moment is written: a text, pictures, a place, and who may see it.

import { avatar } from '../avatar.js'
import { explain, field, form, note } from '../dialog.js'
import { fill, h, icon, iconButton } from '../dom.js'
import { t } from '../language.js'
import { Problem } from '../problem.js'
import { upload } from '../uploads.js'

const MOST = 9
const composers = new WeakMap()

// The card. There is one as long as somebody is logged in: what was begun stays there while one looks elsewhere.
export function composer(app) {
  if (!composers.has(app)) composers.set(app, make(app))
  return composers.get(app)
}

function make(app) {
  const { connection, model } = app
  const chosen = [] // { done, stop, element }, in the order shown
  const face = h('span', {})
  const text = h('textarea', { name: 'content', rows: 2, placeholder: t('moments.placeholder'), 'aria-label': t('moments.placeholder'), maxlength: 8000 })
  const previews = h('ul', { class: 'posting-pictures', 'aria-label': t('moments.pictures'), hidden: true })
  const files = h('input', { type: 'file', accept: 'image/*', multiple: true, hidden: true, 'aria-label': t('moments.addPictures') })
  const where = placeOf()
  const visibility = h('select', { name: 'visibility', 'aria-label': t('moments.visibility'), class: 'posting-visibility' },
    ['friends', 'all', 'private'].map((value) => h('option', { value }, t(`moments.visible.${value}`))))
  const tools = h('div', { class: 'posting-tools' },
    iconButton('image', t('moments.addPictures'), () => files.click()), where.button, visibility)

  const element = form([h('div', { class: 'posting-line' }, face, text), previews, where.element, files, tools], post, {
    yes: t('moments.post'), className: 'card posting',
  })

  async function post({ content, visibility: seen }) {
    const location = where.location()
    const images = await Promise.all(chosen.map(({ done }) => done))
    if (images.includes(null)) throw new Problem({ code: 'invalid' }, t('moments.someFailed'))
    await connection.change('moment_post', {
      content: content.trim(), images: images.map(({ file_id }) => file_id), visibility: seen, ...(location === null ? {} : { location }),
    })
    text.value = ''
    where.close()
    for (const one of [...chosen]) remove(one)
    note(t('moments.posted'))
  }

  function add(list) {
    const pictures = [...list].filter(({ type }) => type.startsWith('image/'))
    if (pictures.length < list.length) note(t('moments.onlyPictures'), { wrong: true })
    if (chosen.length + pictures.length > MOST) note(t('moments.most', { n: MOST }), { wrong: true })
    for (const file of pictures.slice(0, MOST - chosen.length)) chosen.push(preview(file))
    arrange()
  }

  function preview(file) {
    const address = URL.createObjectURL(file)
    const state = h('div', { class: 'posting-state' })
    const one = { done: null, stop: null, element: null }
    const name = file.name || t('kind.image')
    function start() {
      const stopping = new AbortController()
      const progress = h('progress', { max: 1, value: 0, 'aria-label': t('moments.uploading', { name }) })
      fill(state, progress)
      one.stop = () => stopping.abort()
      one.done = upload(file, {
        name, token: app.session.token, signal: stopping.signal,
        onProgress: (part) => { progress.value = typeof part === 'number' && part <= 1 ? part : 0 },
      }).then((uploaded) => {
        fill(state)
        return uploaded
      }, (problem) => {
        if (stopping.signal.aborted) return null
        fill(state, iconButton('retry', t('moments.retry', { name }), start))
        explain(problem)
        return null
      })
    }
    one.element = h('li', { class: 'posting-picture' }, h('img', { src: address, alt: name }), state,
      iconButton('close', t('moments.removePicture', { name }), () => {
        remove(one)
        text.focus()
      }))
    one.forget = () => URL.revokeObjectURL(address)
    start()
    return one
  }

  function remove(one) {
    one.stop()
    one.forget()
    chosen.splice(chosen.indexOf(one), 1)
    arrange()
  }

  function arrange() {
    fill(previews, chosen.map((one) => one.element))
    previews.hidden = chosen.length === 0
  }

  function drawFace() {
    const { user_id } = model.me
    fill(face, avatar({ name: model.nameOf(user_id), id: user_id, url: model.profile?.avatar_url }))
  }

  files.addEventListener('change', () => {
    add(files.files)
    files.value = ''
  })
  text.addEventListener('paste', (event) => {
    if (event.clipboardData.files.length === 0) return
    event.preventDefault()
    add(event.clipboardData.files)
  })
  text.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) element.requestSubmit()
  })
  for (const type of ['dragenter', 'dragover']) {
    element.addEventListener(type, (event) => {
      if (!event.dataTransfer.types.includes('Files')) return
      event.preventDefault()
      element.classList.add('posting-drop')
    })
  }
  element.addEventListener('dragleave', (event) => { if (!element.contains(event.relatedTarget)) element.classList.remove('posting-drop') })
  element.addEventListener('drop', (event) => {
    element.classList.remove('posting-drop')
    if (event.dataTransfer.files.length === 0) return
    event.preventDefault()
    add(event.dataTransfer.files)
  })
  model.on('profile', drawFace, { signal: app.stopped })
  drawFace()
  return element
}

// Where it was: coordinates, found or typed, and what the place is called.
function placeOf() {
  const button = iconButton('place', t('moments.place'), () => (element.hidden ? begin() : close()), { 'aria-expanded': 'false' })
  const name = field('place-name', t('moments.place.name'), { maxlength: 200, autocomplete: 'off' })
  const at = field('place-at', t('moments.place.at'), { placeholder: '47.3769, 8.5417', autocomplete: 'off', pattern: '\\s*-?\\d{1,2}(\\.\\d+)?\\s*,\\s*-?\\d{1,3}(\\.\\d+)?\\s*' })
  const find = h('button', { type: 'button', class: 'quiet', on: { click: locate } }, icon('place'), t('moments.place.here'))
  const element = h('div', { class: 'posting-place', hidden: true }, name, at, find)
  const input = at.querySelector('input')

  function begin() {
    element.hidden = false
    input.required = true
    button.setAttribute('aria-expanded', 'true')
    name.querySelector('input').focus()
  }
  function close() {
    element.hidden = true
    input.required = false
    input.value = ''
    name.querySelector('input').value = ''
    button.setAttribute('aria-expanded', 'false')
  }
  function locate() {
    if (!('geolocation' in navigator)) {
      note(t('moments.place.unknown'), { wrong: true })
      return
    }
    find.disabled = true
    navigator.geolocation.getCurrentPosition(({ coords }) => {
      find.disabled = false
      input.value = `${coords.latitude.toFixed(5)}, ${coords.longitude.toFixed(5)}`
    }, () => {
      find.disabled = false
      note(t('moments.place.unknown'), { wrong: true })
    }, { timeout: 10_000 })
  }
  // As a geo URI and the name, or null.
  function location() {
    if (element.hidden || input.value.trim() === '') return null
    const [latitude, longitude] = input.value.split(',').map((part) => part.trim())
    return `geo:${latitude},${longitude} ${name.querySelector('input').value.trim()}`.trim()
  }
  return { element, button, close, location }
}
