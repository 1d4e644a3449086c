// What opens above the page: dialogs, menus, and short notes. Escape closes them, and the focus goes back.

import { fill, h, icon, iconButton } from './dom.js'
import { t } from './language.js'
import { Problem } from './problem.js'

// A dialog with a title and content. Gives { dialog, close }; `onClose` is called once, however it was closed.
export function open(title, content, { actions = [], onClose = null, className = '' } = {}) {
  const dialog = h('dialog', { class: `sheet ${className}`, 'aria-label': title },
    h('header', { class: 'sheet-head' }, h('h2', {}, title), iconButton('close', t('close'), () => dialog.close())),
    h('div', { class: 'sheet-body' }, content),
    actions.length > 0 && h('footer', { class: 'sheet-foot' }, actions))
  dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close() })
  dialog.addEventListener('close', () => {
    dialog.remove()
    onClose?.()
  })
  document.body.append(dialog)
  dialog.showModal()
  return { dialog, close: () => dialog.close() }
}

// Ask before something that cannot be undone. Resolves to whether to do it.
export function confirm(question, { detail = '', yes = t('ok'), danger = true } = {}) {
  return new Promise((resolve) => {
    let answer = false
    const { close } = open(question, detail === '' ? [] : h('p', {}, detail), {
      className: 'small',
      onClose: () => resolve(answer),
      actions: [
        h('button', { type: 'button', class: 'quiet', on: { click: () => close() } }, t('cancel')),
        h('button', { type: 'button', class: danger ? 'danger' : 'primary', on: { click: () => { answer = true; close() } } }, yes),
      ],
    })
  })
}

// Ask for a line of text. Resolves to it, or to null.
export function prompt(title, { label, value = '', most = 255, yes = t('save'), optional = false }) {
  return new Promise((resolve) => {
    let answer = null
    const input = h('input', { id: 'prompt', value, maxlength: most, required: !optional, autocomplete: 'off' })
    const form = h('form', { method: 'dialog', on: { submit: () => { answer = input.value.trim() } } },
      h('label', { for: 'prompt' }, label), input,
      h('footer', { class: 'sheet-foot' }, h('button', { class: 'primary' }, yes)))
    open(title, form, { className: 'small', onClose: () => resolve(answer) })
    input.focus()
    input.select()
  })
}

// A menu at `anchor` (an element, or { x, y }). Items: { label, icon, act, danger }, or null where there is none. `top` is
// a function of what closes the menu, and gives what stands above them.
export function menu(anchor, items, label, top = null) {
  document.querySelector('.menu')?.hidePopover()
  const buttons = items.filter(Boolean).map(({ label: name, icon: picture, act, danger }) =>
    h('button', {
      type: 'button', role: 'menuitem', tabindex: '-1', class: danger ? 'menu-item danger-text' : 'menu-item',
      on: { click: () => { list.hidePopover(); act() } },
    }, icon(picture), name))
  const list = h('div', { class: 'menu', role: 'dialog', 'aria-label': label, popover: 'auto' }, top !== null && top(() => list.hidePopover()), h('div', { role: 'menu', 'aria-label': label }, buttons))
  list.addEventListener('keydown', (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, Tab: event.shiftKey ? -1 : 1 }[event.key]
    if (step === undefined) return
    event.preventDefault()
    const at = buttons.indexOf(document.activeElement)
    buttons[(at + step + buttons.length) % buttons.length].focus()
  })
  list.addEventListener('toggle', ({ newState }) => {
    if (newState === 'closed') list.remove()
  })
  ;(document.querySelector('dialog[open]:last-of-type') ?? document.body).append(list)
  list.showPopover()
  put(list, anchor)
  buttons[0]?.focus()
  return list
}

// Put something that is open near its anchor, inside the window.
export function put(element, anchor) {
  const at = anchor instanceof Element ? anchor.getBoundingClientRect() : { left: anchor.x, right: anchor.x, top: anchor.y, bottom: anchor.y }
  const { offsetWidth: width, offsetHeight: height } = element
  const left = Math.max(8, Math.min(at.left, innerWidth - width - 8))
  const below = at.bottom + 4 + height <= innerHeight - 8
  element.style.left = `${left}px`
  element.style.top = `${below ? at.bottom + 4 : Math.max(8, at.top - 4 - height)}px`
}

// A short note at the bottom, read out by screen readers.
export function note(text, { wrong = false } = {}) {
  const place = document.querySelector('#notes')
  const line = h('p', { class: wrong ? 'note note-wrong' : 'note' }, text)
  place.append(line)
  place.hidePopover()
  place.showPopover() // above a dialog that is open
  setTimeout(() => {
    line.remove()
    if (place.childElementCount === 0) place.hidePopover()
  }, wrong ? 6000 : 3000)
}

// What to tell of an error: what the server says, or that it cannot be reached.
export function explain(error) {
  if (!(error instanceof Problem)) throw error
  note(error.code === 'offline' ? t('offline') : error.message, { wrong: true })
}

// A form whose button is off while it works, and that shows what is wrong. `act` gets the values by name.
export function form(fields, act, { yes, className = 'stack' }) {
  const problem = h('p', { class: 'problem', role: 'alert' })
  const button = h('button', { class: 'primary' }, yes)
  const element = h('form', { class: className, novalidate: false }, fields, problem, button)
  element.addEventListener('submit', async (event) => {
    event.preventDefault()
    button.disabled = true
    fill(problem)
    for (const input of element.elements) input.removeAttribute('aria-invalid')
    try {
      await act(Object.fromEntries(new FormData(element)))
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      fill(problem, error.code === 'offline' ? t('offline') : error.message)
      const wrong = error.field && element.elements[error.field]
      wrong?.setAttribute('aria-invalid', 'true')
      wrong?.focus()
    } finally {
      button.disabled = false
    }
  })
  return element
}

// A labelled input. `properties` are those of the element.
export function field(name, label, { hint = '', tag = 'input', ...properties } = {}) {
  const id = `field-${name}`
  const described = hint === '' ? {} : { 'aria-describedby': `${id}-hint` }
  return h('div', { class: 'field' }, h('label', { for: id }, label), h(tag, { id, name, ...described, ...properties }),
    hint !== '' && h('p', { class: 'hint', id: `${id}-hint` }, hint))
}
