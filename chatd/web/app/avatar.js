// A face for everybody: the picture they chose, or their initial on a colour of their own.

import { h } from './dom.js'
import { fresh } from './links.js'

const HUES = 10

// `who`: { name, id, url, online }; `large` is for profiles.
export function avatar({ name, id, url = null, status = null }, size = 'normal') {
  const face = h('span', { class: `avatar avatar-${size} hue-${id % HUES}`, 'aria-hidden': 'true' }, initial(name))
  if (fresh(url)) {
    const image = h('img', { src: url, alt: '', loading: 'lazy', draggable: 'false' })
    image.addEventListener('error', () => image.remove())
    face.append(image)
  }
  if (status !== null && status !== 'offline') face.append(h('span', { class: `dot dot-${status}` }))
  return face
}

function initial(name) {
  const [first = '?'] = new Intl.Segmenter().segment(name.trim())
  return (first.segment ?? first).toUpperCase()
}
