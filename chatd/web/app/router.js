// Where one is, is the address after the #: `#/c/12` is a conversation, `#/friends` the friends.

import { Emitter } from './emitter.js'

// Emits `moved` with { name, params } when the place changes.
export class Router extends Emitter {
  constructor(routes) {
    super()
    this.routes = routes // name → pattern, such as 'c/:id/:seq?'
    addEventListener('hashchange', () => this.emit('moved', this.place))
    addEventListener('click', (event) => this.#again(event))
  }

  // { name, params } of the address; an unknown one is the first route.
  get place() {
    const [path, query = ''] = location.hash.replace(/^#\/?/, '').split('?')
    for (const [name, pattern] of Object.entries(this.routes)) {
      const params = match(pattern, path)
      if (params !== null) return { name, params: { ...params, ...Object.fromEntries(new URLSearchParams(query)) } }
    }
    return { name: Object.keys(this.routes)[0], params: {} }
  }

  // A link to where one is leads there once more: the browser itself would do nothing.
  #again(event) {
    const link = event.target.closest?.('a[href^="#"]')
    if (!link || link.hash !== location.hash || event.defaultPrevented) return
    event.preventDefault()
    this.emit('moved', this.place)
  }

  go(path, { replace = false } = {}) {
    if (replace) history.replaceState(null, '', `#/${path}`)
    else history.pushState(null, '', `#/${path}`)
    this.emit('moved', this.place)
  }

}

function match(pattern, path) {
  const names = pattern.split('/')
  const parts = path.split('/').filter((part) => part !== '')
  const params = {}
  if (parts.length > names.length) return null
  for (const [at, name] of names.entries()) {
    const part = parts[at]
    if (!name.startsWith(':')) {
      if (name !== (part ?? '')) return null
    } else if (part === undefined) {
      if (!name.endsWith('?')) return null
    } else {
      try {
        params[name.replace(/[:?]/g, '')] = decodeURIComponent(part)
      } catch {
        return null // no address of ours has a % that means nothing
      }
    }
  }
  return params
}
