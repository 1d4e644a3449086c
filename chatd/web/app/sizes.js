// How large files are, and how large they are shown.

import { language } from './language.js'

const UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte']
const MOST = 320 // pixels that a picture has in a conversation, along its longer edge
const LEAST = 48

// "1.2 MB".
export function bytes(size) {
  const step = size < 1000 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(size) / 3))
  const value = size / 1000 ** step
  return new Intl.NumberFormat(language, {
    style: 'unit', unit: UNITS[step], unitDisplay: step === 0 ? 'long' : 'short', maximumFractionDigits: value < 10 && step > 0 ? 1 : 0,
  }).format(value)
}

// The width and height that a picture or a film of so many pixels gets: never larger than it is, nor too thin to hit.
export function fitted(width, height, most = MOST) {
  if (!width || !height) return { width: most * 0.75, height: most * 0.5625 }
  const scale = Math.min(1, most / width, most / height)
  return { width: Math.max(LEAST, Math.round(width * scale)), height: Math.max(LEAST, Math.round(height * scale)) }
}
