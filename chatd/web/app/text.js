// What people wrote, as nodes: links that can be clicked, names that are mentioned, words that were searched for.

import { h } from './dom.js'

const LINK = /\bhttps?:\/\/[^\s<>"“”«»（）\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]+/gi // no signs that turn the text around
const TRAILING = /[.,;:!?'"”»)\]}。，；：！？）】]+$/

// The text with its web addresses as links, and `names` (usernames) after an @ marked.
export function linked(text, names = []) {
  const nodes = []
  let from = 0
  for (const { index, 0: found } of text.matchAll(LINK)) {
    const address = balanced(found)
    const target = url(address)
    if (target === null) continue
    nodes.push(...mentioned(text.slice(from, index), names))
    nodes.push(h('a', { href: target, target: '_blank', rel: 'noopener noreferrer nofollow' }, address))
    from = index + address.length
  }
  nodes.push(...mentioned(text.slice(from), names))
  return nodes
}

// An address without the punctuation that ends the sentence around it; a bracket that it opened itself belongs to it.
function balanced(address) {
  const trailing = TRAILING.exec(address)?.[0] ?? ''
  const kept = address.slice(0, address.length - trailing.length)
  return trailing.startsWith(')') && kept.includes('(') && !kept.includes(')') ? `${kept})` : kept
}

function url(address) {
  try {
    const { protocol, href } = new URL(address)
    return ['http:', 'https:'].includes(protocol) ? href : null
  } catch {
    return null
  }
}

// Which of these usernames stand in a text after an @.
export function mentionsIn(text, names) {
  if (!text.includes('@')) return []
  const there = new Set(parted(text, names).filter((part) => part.startsWith('@')).map((part) => part.slice(1)))
  return names.filter((name) => there.has(name))
}

function mentioned(text, names) {
  return parted(text, names)
    .map((part) => (part.startsWith('@') && names.includes(part.slice(1)) ? h('span', { class: 'mention' }, part) : part))
}

// A text in parts, each @name a part of its own: of names that begin alike the longest.
function parted(text, names) {
  const parts = [...names].sort((one, other) => other.length - one.length).map((name) => name.replace(/[.*+?^${}()|[\]\\-]/g, '\\$&'))
  if (parts.length === 0) return text === '' ? [] : [text]
  return text.split(new RegExp(`(?<![\\p{L}\\p{N}_])(@(?:${parts.join('|')}))(?![\\p{L}\\p{N}_])`, 'u')).filter((part) => part !== '')
}

// A snippet of `search`: parts, some of which are hits.
export function snippet(parts) {
  return parts.map(({ text, hit }) => (hit ? h('mark', {}, text) : text))
}

// Whether it is nothing but a few emoji, which are shown large.
export function isEmoji(text) {
  return text.length <= 40 && /^(?:\p{Extended_Pictographic}(?:\p{EMod}|\uFE0F|\u200D\p{Extended_Pictographic})*\s*){1,3}$/u.test(text)
}

// A `location`: a geo URI (RFC 5870), and after a space the name of the place.
export function place(content) {
  const [, latitude, longitude, name] = /^geo:(-?[\d.]+),(-?[\d.]+)\S*(?: (.*))?$/su.exec(content) ?? []
  return latitude === undefined ? { name: content, href: null } : {
    name: name || `${latitude}, ${longitude}`,
    href: `https://www.openstreetmap.org/?mlat=${latitude}&mlon=${longitude}#map=15/${latitude}/${longitude}`,
  }
}
