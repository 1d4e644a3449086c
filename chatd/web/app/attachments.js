// Pictures, voice messages, films and other files as they stand in a conversation, sent or on their way.

import { explain, note } from './dialog.js'
import { fill, h, icon, iconButton } from './dom.js'
import { t } from './language.js'
import { fresh, freshened } from './links.js'
import { alone, Sound } from './player.js'
import { Problem } from './problem.js'
import { bytes, fitted } from './sizes.js'
import { duration } from './time.js'
import { view } from './viewer.js'

const SVG = 'http://www.w3.org/2000/svg'
const ROUND = 2 * Math.PI * 20 // of the ring, whose radius is 20
const KEPT = 30 // pictures of my own that are shown from this browser
const TURNING = /[\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/g // characters that let "gpj.exe" look like "exe.jpg"

const own = new Map() // client_id → the address of a picture that was sent from here
const seen = new WeakMap() // element → what to do when it comes near the window
const watch = new IntersectionObserver((changes) => {
  for (const { isIntersecting, target } of changes) {
    if (!isIntersecting) continue
    watch.unobserve(target)
    seen.get(target)?.()
  }
}, { rootMargin: '200px' })

// What a message of kind image, voice, video or file shows of its file.
export function attachment(app, message) {
  if (!message.file) return h('p', { class: 'file-gone soft attachment' }, icon('file'), t('media.gone'))
  const element = { image, voice, video }[message.kind]?.(app, message) ?? card(app, message.file)
  element.classList.add('attachment')
  return element
}

function whenSeen(element, act) {
  seen.set(element, act)
  watch.observe(element)
}

// Once the server is there again, if the element still is.
function whenBack({ connection }, element, act) {
  const over = new AbortController()
  connection.on('state', (state) => {
    if (state !== 'ready') return
    over.abort()
    if (element.isConnected) act()
  }, { signal: over.signal })
}

// Links of a message's file that work; the message keeps them.
async function renewed(app, message) {
  if (!fresh(message.file.url)) message.file = { ...message.file, ...await freshened(app.connection, message.file) }
  return message.file
}

// Pictures

function image(app, message) {
  const { file } = message
  const picture = framed(file)
  const label = t('media.openPicture', { name: app.model.nameOf(message.from_user_id, message.from_username) })
  const element = h('button', {
    type: 'button', class: 'picture', 'aria-label': message.content ? `${label}: ${message.content}` : label,
    on: { click: () => open(app, message) },
  }, picture)
  const show = (one) => { picture.src = source(one) }
  const broken = () => fill(element, h('span', { class: 'picture-broken', title: t('media.noPicture') }, icon('image')))
  picture.addEventListener('error', () => {
    if (app.connection.state === 'ready') broken()
    else whenBack(app, element, () => show(message.file))
  })
  if (own.has(message.client_id)) picture.src = own.get(message.client_id)
  else if (fresh(source(file))) show(file)
  else whenSeen(element, () => renewed(app, message).then(show, broken))
  return element
}

// A picture whose place has its size before it is there.
function framed(file) {
  const picture = h('img', { alt: '', draggable: 'false' })
  frame(picture, file)
  return picture
}

function frame(picture, file) {
  const { width, height } = fitted(file.width, file.height)
  Object.assign(picture, { width, height })
  picture.style.aspectRatio = `${width} / ${height}`
}

// What is shown of a picture: the small one, but for what moves.
function source(file) {
  const moves = file.type === 'image/gif' && !matchMedia('(prefers-reduced-motion: reduce)').matches
  return moves ? file.url : file.thumbnail_url ?? file.url
}

// All pictures of the conversation that are in memory, this one first.
function open(app, message) {
  const messages = app.model.thread(message.conversation_id).messages.filter(({ kind, file }) => kind === 'image' && file)
  const all = messages.some(({ id }) => id === message.id) ? messages : [message]
  view(app, all.map((one) => ({
    file: one.file, time: one.created_at, content: one.content, from: app.model.nameOf(one.from_user_id, one.from_username),
  })), all.findIndex(({ id }) => id === message.id))
}

// Voice messages

function voice(app, message) {
  const sound = Sound.of(app, message.file)
  const button = iconButton('play', t('media.play'), async () => {
    try {
      await sound.toggle()
    } catch (error) {
      if (error instanceof Problem) explain(error)
      else note(t('media.cannotPlay'), { wrong: true })
    }
  })
  const slider = h('input', { type: 'range', class: 'voice-slider', min: 0, step: 'any', 'aria-label': t('media.position') })
  const time = h('span', { class: 'voice-time' })
  slider.addEventListener('input', () => sound.seek(Number(slider.value)))
  slider.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 5, PageDown: -5 }[event.key]
    if (step === undefined) return
    event.preventDefault() // the browser's own step is a hundredth, too small to hear
    sound.seek(Math.max(0, Math.min(sound.seconds ?? 0, sound.at + step)))
  })

  function show() {
    const { seconds, at, isPlaying } = sound
    const label = isPlaying ? t('media.pause') : t('media.play')
    if (button.getAttribute('aria-label') !== label) {
      fill(button, icon(isPlaying ? 'pause' : 'play'))
      button.setAttribute('aria-label', label)
      button.title = label
    }
    slider.max = seconds ?? 1
    slider.value = at
    slider.disabled = seconds === null
    slider.setAttribute('aria-valuetext', t('media.positionOf', { at: duration(at * 1000), of: duration((seconds ?? 0) * 1000) }))
    slider.style.setProperty('--done', `${seconds ? Math.min(100, at / seconds * 100) : 0}%`)
    time.textContent = at > 0 ? duration(at * 1000) : seconds === null ? '–:––' : duration(seconds * 1000)
  }

  sound.show = show
  show()
  return h('div', { class: 'voice', role: 'group', 'aria-label': t('kind.voice') }, button, slider, time)
}

// Films

function video(app, message) {
  const { file } = message
  const element = h('video', {
    class: 'film', controls: true, preload: 'metadata', playsinline: true, ...fitted(file.width, file.height),
    'aria-label': `${t('kind.video')}: ${legible(file.name)}`,
  })
  const box = h('div', { class: 'film-box' }, element)
  element.addEventListener('play', () => alone(element))
  element.addEventListener('error', () => fill(box, card(app, file))) // of a kind that this browser does not play
  whenSeen(element, () => renewed(app, message).then(({ url }) => { element.src = url }, () => {}))
  return box
}

// Files

// A link that saves a file. For messages, and wherever else a file is listed.
export function card(app, file) {
  const link = h('a', { class: 'file', href: file.url, download: file.name }, h('span', { class: 'file-icon' }, icon('file')), described(file))
  link.addEventListener('click', (event) => {
    if (fresh(file.url)) return
    event.preventDefault()
    freshened(app.connection, file).then((one) => {
      file = one
      link.href = one.url
      link.click()
    }).catch(explain)
  })
  return link
}

function described({ name, size }, ...more) {
  const shown = legible(name)
  const dot = shown.lastIndexOf('.')
  const cut = dot > 0 && shown.length - dot <= 8 ? dot : shown.length
  return h('span', { class: 'file-about' },
    h('bdi', { class: 'hidden-text' }, shown), // in one piece, for those who hear it
    h('bdi', { class: 'file-name', title: shown, 'aria-hidden': 'true' }, h('span', { class: 'file-stem' }, shown.slice(0, cut)), h('span', {}, shown.slice(cut))),
    h('span', { class: 'file-size' }, ...more, bytes(size)))
}

function legible(name) {
  return name.replace(TURNING, '')
}

// On their way

// What an entry of the outbox shows of its file, with how much of it has arrived. `cancel` is called when it is not to
// be sent after all. An entry's `preview` may say { width, height }, which `measured` of picking.js finds out.
export function pendingAttachment(entry, { cancel }) {
  const isPicture = entry.fields.kind === 'image'
  const isVoice = entry.fields.kind === 'voice'
  const about = { name: isVoice ? t('kind.voice') : entry.name ?? '', size: entry.blob?.size ?? entry.file?.size ?? 0 }
  const meter = h('span', { class: 'upload-meter', role: 'progressbar', 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-label': t('media.sending', { name: legible(about.name) }) }, ring())
  const stop = h('button', { type: 'button', class: 'upload-cancel', 'aria-label': t('media.cancel'), title: t('media.cancel'), on: { click: cancel } }, icon('close'))
  const percent = h('span', { class: 'upload-percent', 'aria-hidden': 'true' })
  const element = isPicture
    ? h('div', { class: 'attachment picture pending', 'data-progress': true }, likeness(entry), h('span', { class: 'upload' }, meter, stop), percent)
    : h('div', { class: 'attachment file pending', 'data-progress': true }, h('span', { class: 'upload' }, meter, stop), described(about, percent))
  progress(element, entry)
  return element
}

function likeness(entry) {
  const picture = framed(entry.preview ?? entry.file ?? {})
  picture.addEventListener('error', () => picture.replaceWith(h('span', { class: 'picture-broken' }, icon('image'))))
  if (!entry.preview && !entry.file) {
    picture.addEventListener('load', () => {
      entry.preview = { width: picture.naturalWidth, height: picture.naturalHeight }
      frame(picture, entry.preview)
    }, { once: true })
  }
  const url = address(entry)
  if (url !== null) picture.src = url
  return picture
}

// The address of a picture in this browser: the message keeps it when it is sent, so that nothing flickers.
function address({ client_id, blob }) {
  if (!own.has(client_id)) {
    if (blob === null) return null
    own.set(client_id, URL.createObjectURL(blob))
    for (const [oldest, url] of own) {
      if (own.size <= KEPT) break
      URL.revokeObjectURL(url)
      own.delete(oldest)
    }
  }
  return own.get(client_id)
}

function ring() {
  const svg = document.createElementNS(SVG, 'svg')
  svg.setAttribute('viewBox', '0 0 44 44')
  svg.setAttribute('class', 'upload-ring')
  svg.setAttribute('aria-hidden', 'true')
  for (const name of ['upload-track', 'upload-done']) {
    const circle = document.createElementNS(SVG, 'circle')
    for (const [key, value] of Object.entries({ cx: 22, cy: 22, r: 20, class: name })) circle.setAttribute(key, value)
    svg.append(circle)
  }
  return svg
}

// Have what `pendingAttachment` made say how far the entry is.
export function progress(element, entry) {
  const hundredths = Math.round((entry.progress ?? 0) * 100)
  const isFailed = entry.state === 'failed'
  element.classList.toggle('upload-failed', isFailed)
  const meter = element.querySelector('.upload-meter')
  meter.setAttribute('aria-valuenow', hundredths)
  meter.hidden = isFailed
  element.querySelector('.upload-done').style.strokeDasharray = `${hundredths / 100 * ROUND} ${ROUND}`
  element.querySelector('.upload-percent').textContent = isFailed ? '' : `${hundredths} %`
}
