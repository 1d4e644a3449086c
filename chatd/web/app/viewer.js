// Pictures as large as the window, one after the other.

import { explain } from './dialog.js'
import { fill, h, icon, iconButton } from './dom.js'
import { t } from './language.js'
import { fresh, freshened } from './links.js'
import { full } from './time.js'

const CLOSE_UP = 2.5
const CLOSEST = 8
const TAP = 6 // pixels that a finger may move and still have tapped
const TWICE = 300 // ms within which a second tap belongs to the first
const SWIPE = 60
const STEP = 80 // pixels that an arrow key moves a picture that is larger than the window

// Show `images`, each { file, from, time, content }, beginning with that at `at`.
export function view(app, images, at = 0) {
  const picture = h('img', { class: 'viewer-picture', alt: '', draggable: 'false' })
  const stage = h('div', { class: 'viewer-stage' }, picture)
  const caption = h('div', { class: 'viewer-caption', 'aria-live': 'polite' })
  const count = h('span', { class: 'viewer-count' })
  const save = h('a', { class: 'icon-button button', 'aria-label': t('viewer.save'), title: t('viewer.save') }, icon('download'))
  const closer = iconButton('search', t('viewer.zoom'), () => zoom(scale > 1 ? 1 : CLOSE_UP))
  const close = iconButton('close', t('close'), () => dialog.close())
  const back = iconButton('back', t('viewer.previous'), () => go(-1), { class: 'icon-button viewer-previous' })
  const on = iconButton('back', t('viewer.next'), () => go(1), { class: 'icon-button viewer-next' })
  const dialog = h('dialog', { class: 'viewer', 'aria-label': t('viewer.title') },
    h('header', { class: 'viewer-head' }, count, closer, save, close), stage, images.length > 1 && [back, on], caption)
  const over = new AbortController()
  let scale = 1
  let x = 0
  let y = 0
  let size = { width: 0, height: 0 } // of the picture as it fits the window

  function show() {
    const { file, from, time, content } = images[at]
    const named = content || t('viewer.from', { name: from })
    picture.alt = named
    fill(caption, h('p', {}, h('strong', {}, from), ' ', h('time', { datetime: time }, full(time))), content && h('p', { class: 'viewer-words' }, content))
    count.textContent = images.length > 1 ? t('viewer.count', { at: at + 1, of: images.length }) : ''
    back.disabled = at === 0
    on.disabled = at === images.length - 1
    if (document.activeElement === document.body) close.focus() // the button that was used is off now
    save.download = file.name
    picture.removeAttribute('src')
    fit()
    load(at).catch((error) => {
      stage.classList.remove('viewer-loading')
      explain(error)
    })
  }

  // The small picture at once, the large one when it has come.
  async function load(which) {
    stage.classList.add('viewer-loading')
    const image = images[which]
    if (fresh(image.file.thumbnail_url)) picture.src = image.file.thumbnail_url
    image.file = { ...image.file, ...await freshened(app.connection, image.file) }
    const large = new Image()
    large.src = image.file.url
    save.href = image.file.url
    await large.decode().catch(() => {})
    if (which !== at) return
    picture.src = image.file.url
    size = image.file.width ? size : { width: large.naturalWidth, height: large.naturalHeight }
    image.file.width ??= large.naturalWidth
    image.file.height ??= large.naturalHeight
    stage.classList.remove('viewer-loading')
    place()
  }

  // As large as the window lets it be, and not larger than it is.
  function fit() {
    [scale, x, y] = [1, 0, 0]
    place()
  }

  function place() {
    const { width, height } = images[at].file
    const room = stage.getBoundingClientRect()
    const least = width && height ? Math.min(1, room.width / width, room.height / height) : 1
    size = { width: (width ?? 0) * least, height: (height ?? 0) * least }
    picture.style.width = width ? `${size.width}px` : ''
    picture.style.height = height ? `${size.height}px` : ''
    move()
  }

  function move() {
    const room = stage.getBoundingClientRect()
    const most = (whole, window) => Math.max(0, (whole * scale - window) / 2)
    if (scale > 1) {
      x = Math.max(-most(size.width, room.width), Math.min(most(size.width, room.width), x))
      y = Math.max(-most(size.height, room.height), Math.min(most(size.height, room.height), y))
    }
    picture.style.transform = `translate(${x}px, ${y}px) scale(${scale})`
    stage.classList.toggle('viewer-close', scale > 1)
    closer.setAttribute('aria-pressed', String(scale > 1))
  }

  // Larger or smaller, around a point of the window (its middle, if none is given), which stays where it is.
  function zoom(to, point = null) {
    const room = stage.getBoundingClientRect()
    const [px, py] = point === null ? [0, 0] : [point.clientX - room.left - room.width / 2, point.clientY - room.top - room.height / 2]
    const next = Math.max(1, Math.min(CLOSEST, to))
    x = next === 1 ? 0 : px - (px - x) * next / scale
    y = next === 1 ? 0 : py - (py - y) * next / scale
    scale = next
    move()
  }

  function go(step) {
    const next = Math.max(0, Math.min(images.length - 1, at + step))
    if (next === at) {
      fit()
      return
    }
    at = next
    show()
  }

  function pan(dx, dy) {
    x += dx
    y += dy
    move()
  }

  dialog.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return
    const isClose = scale > 1
    const act = {
      ArrowLeft: () => (isClose ? pan(STEP, 0) : go(-1)), ArrowRight: () => (isClose ? pan(-STEP, 0) : go(1)),
      ArrowUp: () => isClose && pan(0, STEP), ArrowDown: () => isClose && pan(0, -STEP),
      Home: () => go(-images.length), End: () => go(images.length),
      '+': () => zoom(scale * 1.5), '=': () => zoom(scale * 1.5), '-': () => zoom(scale / 1.5), 0: () => zoom(1),
    }[event.key]
    if (act === undefined) return
    event.preventDefault()
    act()
  })
  stage.addEventListener('wheel', (event) => {
    event.preventDefault()
    zoom(scale * Math.exp(-event.deltaY / (event.ctrlKey ? 100 : 400)), event)
  }, { passive: false })
  fingers(stage, {
    get isClose() { return scale > 1 },
    isOn: ({ clientX, clientY }) => { // also where the picture will be when it has come
      const room = stage.getBoundingClientRect()
      return Math.abs(clientX - room.left - room.width / 2 - x) <= size.width * scale / 2
        && Math.abs(clientY - room.top - room.height / 2 - y) <= size.height * scale / 2
    },
    pan,
    pinch: (factor, point) => zoom(scale * factor, point),
    slide: (dx) => { picture.style.transform = `translate(${dx}px, 0)` },
    swiped: (dx, dy) => {
      if (Math.abs(dx) > SWIPE && Math.abs(dx) > Math.abs(dy)) go(dx < 0 ? 1 : -1)
      else if (dy > 2 * SWIPE) dialog.close()
      else fit()
    },
    tapped: (event) => zoom(scale > 1 ? 1 : CLOSE_UP, event),
    missed: () => dialog.close(),
  })
  addEventListener('resize', fit, { signal: over.signal })
  addEventListener('hashchange', () => dialog.close(), { signal: over.signal })
  dialog.addEventListener('close', () => {
    over.abort()
    dialog.remove()
  })
  document.body.append(dialog)
  dialog.showModal()
  close.focus()
  show()
  return { dialog, close: () => dialog.close() }
}

// What fingers, or a mouse, do on the stage: tap, drag, pinch.
function fingers(stage, does) {
  const down = new Map() // pointer → where it is
  let from = null // where the first went down
  let pinched = false
  let tapped = 0

  const distance = ([one, other]) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY)
  const middle = ([one, other]) => ({ clientX: (one.clientX + other.clientX) / 2, clientY: (one.clientY + other.clientY) / 2 })

  stage.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return
    if (down.size === 0) {
      from = { clientX: event.clientX, clientY: event.clientY }
      pinched = false
    }
    down.set(event.pointerId, event)
    pinched ||= down.size > 1
    stage.setPointerCapture(event.pointerId)
  })
  stage.addEventListener('pointermove', (event) => {
    const last = down.get(event.pointerId)
    if (last === undefined) return
    const before = [...down.values()]
    down.set(event.pointerId, event)
    if (down.size > 1) does.pinch(distance([...down.values()]) / Math.max(1, distance(before)), middle([...down.values()]))
    else if (does.isClose) does.pan(event.clientX - last.clientX, event.clientY - last.clientY)
    else if (!pinched) does.slide(event.clientX - from.clientX)
  })
  const up = (event) => {
    if (!down.delete(event.pointerId) || down.size > 0 || pinched) return
    const dx = event.clientX - from.clientX
    const dy = event.clientY - from.clientY
    if (event.type === 'pointercancel') {
      if (!does.isClose) does.swiped(0, 0)
    } else if (Math.hypot(dx, dy) > TAP) {
      if (!does.isClose) does.swiped(dx, dy)
    } else if (!does.isOn(event)) {
      does.missed()
    } else if (event.timeStamp - tapped > TWICE) {
      tapped = event.timeStamp
      does.tapped(event)
    }
  }
  stage.addEventListener('pointerup', up)
  stage.addEventListener('pointercancel', up)
}
