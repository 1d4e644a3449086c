// What is drawn again while somebody looks at it: what has not changed stays as it is, and the focus where it was.

import { fill, h } from './dom.js'

const FOCUSABLE = 'a[href], button:not(:disabled), input:not(:disabled), select:not(:disabled), textarea:not(:disabled)'

// Have an element contain these children. The focus, if it was inside, is on what has the same place then.
export function refill(element, ...children) {
  const at = [...element.querySelectorAll(FOCUSABLE)].indexOf(document.activeElement)
  fill(element, ...children)
  if (at === -1) return element
  const now = [...element.querySelectorAll(FOCUSABLE)]
  const next = now[at] ?? now.at(-1) ?? element.closest('[tabindex]')
  next?.focus({ preventScroll: true })
  return element
}

// The rows of a list, each for an item with an `id`.
export class Rows {
  #rows = new Map() // id → { key, element }

  constructor(list) {
    this.list = list
  }

  // `draw(item)` gives what a row contains. It is asked again only for an item that is not as it was.
  show(items, draw) {
    const focused = this.list.contains(document.activeElement) ? document.activeElement : null
    const at = [...this.list.children].findIndex((row) => row.contains(focused))
    const wanted = new Set(items.map(({ id }) => id))
    for (const [id, { element }] of this.#rows) {
      if (wanted.has(id)) continue
      element.remove()
      this.#rows.delete(id)
    }
    items.forEach((item, place) => {
      const element = this.#row(item, draw)
      if (this.list.children[place] !== element) this.list.insertBefore(element, this.list.children[place] ?? null)
    })
    if (focused !== null && !this.list.contains(document.activeElement)) this.#refocus(focused, at)
  }

  #row(item, draw) {
    const key = JSON.stringify(item)
    const known = this.#rows.get(item.id)
    if (known?.key === key) return known.element
    const element = known?.element ?? h('li', {})
    refill(element, draw(item))
    this.#rows.set(item.id, { key, element })
    return element
  }

  // What had the focus was moved, or has gone: then it is on the row that came in its place, or what is around the list.
  #refocus(focused, at) {
    const row = this.list.children[at] ?? this.list.lastElementChild
    const next = focused.isConnected ? focused : row?.querySelector(FOCUSABLE) ?? this.list.closest('[tabindex]')
    next?.focus({ preventScroll: true })
  }
}
