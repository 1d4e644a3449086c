// Sound that is played: one thing at a time on the whole page.

import { freshened } from './links.js'

let current = null // what plays now, or did last: a <video>, or the <audio> of a recording

// Silence what plays, for this begins.
export function alone(media) {
  if (current !== null && current !== media) current.pause()
  current = media
}

// The sound of a voice message. It outlives the element that shows it, which may be scrolled away and made again.
export class Sound {
  static #sounds = new Map() // file_id → Sound, while it plays
  #audio = null
  #seconds
  #at = 0
  show = () => {} // whoever shows it is told when something changes

  static of(app, file) {
    return Sound.#sounds.get(file.file_id) ?? new Sound(app, file)
  }

  constructor(app, file) {
    Object.assign(this, { app, file })
    this.#seconds = file.duration_ms === null ? null : file.duration_ms / 1000
  }

  get isPlaying() {
    return this.#audio !== null && !this.#audio.paused
  }

  // Seconds that it lasts; null as long as nobody knows.
  get seconds() {
    return this.#seconds
  }

  get at() {
    return this.#audio?.currentTime ?? this.#at
  }

  async toggle() {
    if (this.isPlaying) {
      this.#audio.pause()
      return
    }
    const audio = await this.#load()
    alone(audio)
    Sound.#sounds.set(this.file.file_id, this)
    await audio.play().catch((error) => { if (error.name !== 'AbortError') throw error })
  }

  seek(seconds) {
    this.#at = seconds
    if (this.#audio !== null) this.#audio.currentTime = seconds
    this.show()
  }

  async #load() {
    if (this.#audio !== null) return this.#audio
    const file = await freshened(this.app.connection, this.file)
    const audio = new Audio(file.url)
    await new Promise((resolve, reject) => {
      audio.addEventListener('loadedmetadata', resolve, { once: true })
      audio.addEventListener('error', () => reject(audio.error), { once: true })
    })
    this.#seconds ??= await length(audio)
    audio.currentTime = this.#at
    for (const event of ['play', 'pause', 'timeupdate', 'seeked']) audio.addEventListener(event, () => this.show())
    audio.addEventListener('pause', () => { if (audio !== current || audio.ended) Sound.#sounds.delete(this.file.file_id) })
    audio.addEventListener('ended', () => {
      this.seek(0)
      Sound.#sounds.delete(this.file.file_id)
    })
    this.app.stopped?.addEventListener('abort', () => audio.pause(), { once: true })
    this.#audio = audio
    return audio
  }
}

// A recording as browsers write it does not say how long it is: its end must be looked for.
async function length(audio) {
  if (audio.duration === Infinity) {
    await new Promise((resolve) => {
      audio.addEventListener('durationchange', resolve, { once: true })
      setTimeout(resolve, 3000)
      audio.currentTime = 1e7
    })
  }
  return Number.isFinite(audio.duration) ? audio.duration : null
}
