// The messages of a conversation, of which only those near the window are in the document.
//
// The window is a run of items; at its ends some are added and as many taken away while one scrolls. What one looks at
// stays where it is.

import { h } from './dom.js'
import { t } from './language.js'
import { day } from './time.js'

const MOST = 140 // rows in the document
const STEP = 40
const NEAR = 900 // px from an end at which more is wanted
const TOGETHER = 5 * 60_000 // ms within which messages of one person stand together
const AT_END = 48 // px
const FEW = 8 // unread messages, for which one need not begin at the first

export class Timeline {
  #rows = new Map() // key → { of, flags, element }
  #items = []
  #start = 0
  #end = 0
  #isPlaced = false // where one begins to read is known
  #sticks = false
  #busy = false
  #aim = null // what is to be shown when it has come, unless something else is wanted meanwhile
  #waiting = false

  // `draw(item, flags)` gives what stands in a row; `ask` a page of history; `flagsOf(item)` what else it depends on.
  constructor({ thread, draw, ask, flagsOf, signal, onEnd, onMore, firstUnread = null, unreadCount = 0 }) {
    Object.assign(this, { thread, draw, ask, flagsOf, onEnd, onMore, firstUnread, unreadCount })
    this.list = h('ol', { class: 'messages' })
    this.element = h('div', { class: 'timeline scroll', tabindex: '0', role: 'region', 'aria-label': t('conversation.messages') }, this.list)
    this.element.addEventListener('scroll', () => this.#scrolled(), { passive: true })
    this.element.addEventListener('keydown', (event) => this.#key(event))
    const resized = new ResizeObserver(() => { if (this.#sticks) this.#stick(); else this.#scrolled() })
    resized.observe(this.list)
    resized.observe(this.element)
    signal.addEventListener('abort', () => resized.disconnect())
  }

  get isAtEnd() {
    return this.#sticks && this.#end === this.#items.length
  }

  // Have what is there, and enough of it to fill the window.
  async begin() {
    try {
      if (this.thread.messages.length < STEP) {
        if (this.thread.messages.length > 0) this.update() // until there is a connection, what is here
        await this.#older()
      }
    } finally {
      this.#isPlaced = true
    }
    if (this.#aim !== null) return
    this.#take()
    this.#end = this.#items.length
    this.#start = Math.max(0, this.#end - STEP)
    this.#render()
    if (this.unreadCount > FEW) await this.show(this.firstUnread, { mark: false, block: 'start' })
    else this.#stick()
    this.#more()
  }

  // Something has changed: draw it soon.
  changed() {
    if (this.#waiting) return
    this.#waiting = true
    requestAnimationFrame(() => {
      this.#waiting = false
      this.update()
    })
  }

  update() {
    const wasAtEnd = this.#end === this.#items.length
    const first = this.#items[this.#start]
    this.#take()
    const at = first === undefined ? 0 : this.#items.findIndex((item) => keyOf(item) === keyOf(first))
    const length = this.#end - this.#start
    this.#start = at < 0 ? Math.max(0, this.#items.length - STEP) : at
    this.#end = wasAtEnd ? this.#items.length : Math.min(this.#items.length, this.#start + length)
    if (this.#sticks) this.#start = Math.max(this.#start, this.#end - MOST)
    this.#render()
    if (!this.#isPlaced) return
    if (this.#sticks) this.#stick()
    else this.onMore?.()
    this.#more()
  }

  #take() {
    this.#items = [...this.thread.messages, ...this.thread.pending]
  }

  toEnd() {
    this.#aim = null
    this.#stick()
  }

  #stick() {
    if (this.#end < this.#items.length) {
      this.#end = this.#items.length
      this.#start = Math.max(0, this.#end - STEP)
      this.#render()
    }
    this.#sticks = true
    this.element.scrollTop = this.element.scrollHeight
    this.onEnd?.()
  }

  // Scroll to the message with this seq, or the next one, however far back it is. Whether there is one.
  async show(seq, { mark = true, block = 'center' } = {}) {
    const aim = this.#aim = {}
    while (!this.thread.isComplete && (this.thread.messages[0]?.seq ?? Infinity) > seq) await this.#older(seq)
    if (this.#aim !== aim) return true
    this.#aim = null
    this.#take()
    const at = this.#items.findIndex((item) => item.seq >= seq)
    if (at < 0) return false
    this.#sticks = false
    this.#start = Math.max(0, at - STEP)
    this.#end = Math.min(this.#items.length, at + STEP)
    this.#render()
    const { element } = this.#rows.get(keyOf(this.#items[at]))
    element.scrollIntoView({ block })
    if (mark) {
      element.classList.add('shown')
      element.addEventListener('animationend', () => element.classList.remove('shown'), { once: true })
      element.focus({ preventScroll: true })
    }
    this.onMore?.()
    return true
  }

  // The same, by the message's id.
  async showId(id) {
    const isBefore = () => (this.thread.messages.find((one) => one.id !== null)?.id ?? Infinity) > id
    const aim = this.#aim = {}
    while (!this.thread.isComplete && isBefore()) await this.#older(1)
    if (this.#aim !== aim) return true
    const message = this.thread.byId(id)
    return message !== undefined && this.show(message.seq)
  }

  async #older(seq = null) {
    this.element.setAttribute('aria-busy', 'true')
    try {
      await this.thread.older(this.ask, seq)
    } finally {
      this.element.removeAttribute('aria-busy')
    }
  }

  #scrolled() {
    if (!this.#isPlaced || !this.element.isConnected) return
    const { scrollTop, scrollHeight, clientHeight } = this.element
    this.#sticks = scrollHeight - scrollTop - clientHeight < AT_END && this.#end === this.#items.length
    if (this.#sticks) this.onEnd?.()
    else this.onMore?.()
    this.#more()
  }

  // Have more at an end that is near.
  async #more() {
    if (this.#busy || !this.element.isConnected) return
    this.#busy = true
    try {
      const { scrollTop, scrollHeight, clientHeight } = this.element
      if (scrollTop < NEAR && this.#start > 0) {
        this.#start = Math.max(0, this.#start - STEP)
        this.#end = Math.min(this.#end, Math.max(this.#start + MOST, this.#start + 2 * STEP))
        this.#render()
      } else if (scrollTop < NEAR && !this.thread.isComplete) {
        const first = this.#items[0]
        await this.#older()
        this.#take()
        const shift = first === undefined ? 0 : Math.max(0, this.#items.findIndex((item) => keyOf(item) === keyOf(first)))
        this.#start += shift
        this.#end = first === undefined ? this.#items.length : this.#end + shift
        this.#busy = false
        if (shift > 0 || first === undefined) this.#more()
      } else if (scrollHeight - scrollTop - clientHeight < NEAR && this.#end < this.#items.length) {
        this.#end = Math.min(this.#items.length, this.#end + STEP)
        this.#start = Math.max(this.#start, this.#end - MOST)
        this.#render()
      }
    } catch {
      // There is no connection: it is tried again with the next scroll.
    } finally {
      this.#busy = false
    }
  }

  // Have the rows of the window in the document, and what one looks at where it was.
  #render() {
    const anchor = this.#anchor()
    const wanted = this.#items.slice(this.#start, this.#end).map((item, at) => this.#row(item, this.#items[this.#start + at - 1]))
    const keep = new Set(wanted)
    for (const child of [...this.list.children]) if (!keep.has(child)) child.remove()
    wanted.forEach((element, at) => { if (this.list.children[at] !== element) this.list.insertBefore(element, this.list.children[at] ?? null) })
    for (const [key, { element }] of this.#rows) if (!keep.has(element)) this.#rows.delete(key)
    if (anchor !== null && anchor.element.isConnected) {
      this.element.scrollTop += anchor.element.getBoundingClientRect().top - anchor.top
    }
  }

  #anchor() {
    const { top, bottom } = this.element.getBoundingClientRect()
    for (const element of this.list.children) {
      const at = element.getBoundingClientRect()
      if (at.bottom > top && at.top < bottom) return { element, top: at.top }
    }
    return null
  }

  // The row of an item, drawn again only where it or what it depends on has changed.
  #row(item, before) {
    const key = keyOf(item)
    const flags = {
      day: before === undefined || day(before.created_at) !== day(item.created_at) ? item.created_at : null,
      isUnread: this.firstUnread !== null && item.seq >= this.firstUnread && !(before?.seq >= this.firstUnread),
      continues: isTogether(before, item),
      ...this.flagsOf(item),
    }
    const known = this.#rows.get(key)
    const told = JSON.stringify(flags)
    if (known !== undefined && known.of === item && known.flags === told) return known.element
    const element = known?.element ?? h('li', { tabindex: '-1' })
    const content = [
      flags.day && h('p', { class: 'day' }, h('time', { datetime: flags.day }, day(flags.day))),
      flags.isUnread && h('p', { class: 'unread-line' }, t('conversation.unread')),
      this.draw(item, flags),
    ].filter(Boolean)
    element.className = flags.continues && !flags.isUnread && flags.day === null ? 'message continues' : 'message'
    element.replaceChildren(...content)
    this.#rows.set(key, { of: item, flags: told, element })
    return element
  }

  #key(event) {
    const rows = [...this.list.children]
    const at = rows.indexOf(document.activeElement)
    if (event.target !== this.element && at < 0) return
    const to = { ArrowUp: at < 0 ? rows.length - 1 : at - 1, ArrowDown: at < 0 ? rows.length - 1 : at + 1, Home: 0, End: rows.length - 1 }[event.key]
    if (to === undefined) return
    event.preventDefault()
    rows[Math.max(0, Math.min(rows.length - 1, to))]?.focus()
  }
}

// What tells an item from the others; what was sent keeps its place.
export function keyOf(item) {
  return item.client_id ?? item.seq
}

function isTogether(before, item) {
  return before !== undefined && before.kind !== 'notice' && item.kind !== 'notice'
    && (before.from_user_id ?? null) === (item.from_user_id ?? null)
    && new Date(item.created_at) - new Date(before.created_at) < TOGETHER
}
