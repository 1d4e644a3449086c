// A voice message as it is spoken: a bar with the time, the level, and what to do with it.

import { note } from './dialog.js'
import { fill, h, icon, iconButton } from './dom.js'
import { t } from './language.js'
import { stamp } from './picking.js'
import { duration } from './time.js'

const TYPES = ['audio/webm;codecs=opus', 'audio/ogg;codecs=opus', 'audio/mp4'] // the first that this browser writes
const BITS = 32_000 // a second: clear speech, and ten minutes are 2.4 MB
const LONGEST = 10 * 60_000
const SHORTEST = 500
const TICK = 100
const BARS = 40

// Record at once. `onDone(blob, name, milliseconds)` or `onCancel()` is called once, and the element is of no use then.
// It also ends, cancelled, when it is taken off the page or `signal` is aborted.
export function record({ onDone, onCancel, signal = null }) {
  const time = h('span', { class: 'recorder-time', role: 'timer' }, duration(0))
  const bars = Array.from({ length: BARS }, () => h('span', {}))
  const levels = h('span', { class: 'recorder-levels', 'aria-hidden': 'true' }, bars)
  const send = iconButton('send', t('recorder.send'), () => end(true), { class: 'icon-button primary', disabled: true })
  const stop = iconButton('trash', t('recorder.cancel'), () => end(false))
  const dot = h('span', { class: 'recorder-dot' })
  const status = h('span', { class: 'hidden-text', role: 'status' })
  const element = h('div', { class: 'recorder', role: 'group', 'aria-label': t('recorder.title') }, stop, dot, time, levels, status, send)
  const pieces = []
  let microphone = null
  let recorder = null
  let sound = null
  let began = 0
  let lasted = 0
  let isOver = false
  let wasThere = false

  async function begin() {
    try {
      microphone = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true } })
      if (isOver) {
        release()
        return
      }
      const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type))
      recorder = new MediaRecorder(microphone, { mimeType, audioBitsPerSecond: BITS })
    } catch (error) {
      refuse(error)
      return
    }
    recorder.addEventListener('dataavailable', ({ data }) => { if (data.size > 0) pieces.push(data) })
    recorder.addEventListener('stop', stopped) // also when the microphone is unplugged
    recorder.addEventListener('start', () => {
      began = performance.now()
      send.disabled = false
      if (document.activeElement === document.body || element.contains(document.activeElement)) send.focus()
      status.textContent = t('recorder.running')
      element.classList.add('recorder-running')
    })
    recorder.start(1000)
    listen()
  }

  function listen() {
    sound = new AudioContext()
    const analyser = sound.createAnalyser()
    analyser.fftSize = 512
    sound.createMediaStreamSource(microphone).connect(analyser)
    const samples = new Float32Array(analyser.fftSize)
    levels.level = () => {
      analyser.getFloatTimeDomainData(samples)
      return Math.min(1, 1.6 * (samples.reduce((sum, one) => sum + one * one, 0) / samples.length) ** 0.25) // as ears hear it
    }
  }

  const ticking = setInterval(() => {
    wasThere ||= element.isConnected
    if (wasThere && !element.isConnected) {
      end(false)
      return
    }
    if (recorder?.state !== 'recording' || began === 0) return
    lasted = performance.now() - began
    time.textContent = duration(lasted)
    levels.append(levels.firstChild)
    levels.lastChild.style.transform = `scaleY(${Math.max(0.08, levels.level?.() ?? 0)})`
    if (lasted >= LONGEST) recorder.stop()
  }, TICK)

  // It has stopped by itself: what there is can still be sent.
  function stopped() {
    release()
    element.classList.remove('recorder-running')
    status.textContent = t('recorder.stopped')
  }

  function release() {
    for (const track of microphone?.getTracks() ?? []) track.stop()
    if (sound?.state !== 'closed') sound?.close()
  }

  function refuse(error) {
    const why = !isSecureContext ? 'recorder.insecure' : error.name === 'NotAllowedError' ? 'recorder.notAllowed' : 'recorder.none'
    over()
    fill(element, icon('warning'), h('p', { class: 'recorder-problem', role: 'alert' }, t(why)), iconButton('close', t('close'), () => onCancel()))
    element.lastChild.focus()
  }

  function over() {
    isOver = true
    clearInterval(ticking)
    signal?.removeEventListener('abort', giveUp)
    release()
  }

  function end(isWanted) {
    if (isOver) return
    const isRunning = recorder !== null && recorder.state !== 'inactive'
    if (isRunning) lasted = performance.now() - began
    const isShort = isWanted && lasted < SHORTEST
    if (isShort) note(t('recorder.short'))
    recorder?.removeEventListener('stop', stopped)
    const finish = () => {
      over()
      if (!isWanted || isShort) {
        onCancel()
        return
      }
      const type = recorder.mimeType.split(';')[0]
      onDone(new Blob(pieces, { type }), `${stamp('voice')}.${type.split('/')[1]}`, Math.round(lasted))
    }
    isOver = true
    if (isRunning) {
      recorder.addEventListener('stop', finish)
      recorder.stop()
    } else {
      finish()
    }
  }

  const giveUp = () => end(false)
  signal?.addEventListener('abort', giveUp)
  element.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return
    event.stopPropagation()
    if (isOver) onCancel()
    else end(false)
  })
  begin()
  return element
}
