// Times as people say them, in the page's language.

import { language, t } from './language.js'

const DAY = 86_400_000

function formatted(date, options) {
  return new Intl.DateTimeFormat(language, options).format(date)
}

function daysAgo(date) {
  const midnight = (one) => new Date(one.getFullYear(), one.getMonth(), one.getDate())
  return Math.round((midnight(new Date()) - midnight(date)) / DAY)
}

export function clock(time) {
  return formatted(new Date(time), { hour: 'numeric', minute: '2-digit' })
}

export function day(time) {
  const date = new Date(time)
  const ago = daysAgo(date)
  if (ago === 0) return t('time.today')
  if (ago === 1) return t('time.yesterday')
  const year = date.getFullYear() === new Date().getFullYear() ? undefined : 'numeric'
  return formatted(date, { weekday: ago < 7 ? 'long' : 'short', day: 'numeric', month: 'long', year })
}

// As short as it can be: the time of today, the weekday of this week, or the date.
export function short(time) {
  const date = new Date(time)
  const ago = daysAgo(date)
  if (ago === 0) return clock(time)
  if (ago < 7) return formatted(date, { weekday: 'short' })
  return formatted(date, { day: 'numeric', month: 'numeric', year: date.getFullYear() === new Date().getFullYear() ? undefined : '2-digit' })
}

export function full(time) {
  return formatted(new Date(time), { dateStyle: 'full', timeStyle: 'short' })
}

export function date(time) {
  return formatted(new Date(time), { dateStyle: 'long' })
}

// A day and a time, for what begins or ends then.
export function instant(time) {
  return formatted(new Date(time), { dateStyle: 'medium', timeStyle: 'short' })
}

// How long ago, or the date: for moments, devices, and who was seen when.
export function ago(time) {
  const minutes = Math.round((Date.now() - new Date(time)) / 60_000)
  const relative = new Intl.RelativeTimeFormat(language, { numeric: 'auto', style: 'short' })
  if (minutes < 1) return t('time.now')
  if (minutes < 60) return relative.format(-minutes, 'minute')
  if (minutes < 24 * 60) return relative.format(-Math.round(minutes / 60), 'hour')
  if (minutes < 7 * 24 * 60) return relative.format(-Math.round(minutes / 60 / 24), 'day')
  return formatted(new Date(time), { dateStyle: 'medium' })
}

// Minutes and seconds of a recording.
export function duration(milliseconds) {
  const seconds = Math.round(milliseconds / 1000)
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}
