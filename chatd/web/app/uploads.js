// Files on their way to the server, by tus 1.0: what was cut goes on where it was.

import { post } from './api.js'
import { t } from './language.js'
import { Problem } from './problem.js'

const FIRST_PAUSE = 500
const LONGEST_PAUSE = 30_000
const STALLED = 60_000 // ms without a sign of life after which the connection is taken for dead
const BEGINNINGS = 3 // an upload that the server knows nothing of any more is begun again, so often
const GONE = [404, 410]

// The server cannot be reached, or asks to wait: to be tried again.
class Again extends Error {
  constructor(pause = null) {
    super('again')
    this.pause = pause
  }
}

// Bring a blob to the server. Resolves to the file as `file_get` gives it, or raises a `Problem`. As long as `signal`
// is not aborted it waits for the server when that is away. `onProgress` is called with 0 to 1, `onPlace` with the
// address of the upload when it has one: with that as `place` it goes on later, where it was.
export async function upload(blob, { name, token, signal = null, onProgress = () => {}, place = null, onPlace = () => {} }) {
  const state = { blob, name, token, signal, onProgress, place, onPlace, fileId: null, begun: 0 }
  for (let lost = 0; ;) {
    try {
      signal?.throwIfAborted()
      if (state.fileId === null) await step(state, () => { lost = 0 })
      else return await described(state)
    } catch (error) {
      if (signal?.aborted) {
        if (signal.reason !== 'stopped') forget(state)
        throw signal.reason
      }
      if (!(error instanceof Again)) throw error
      await readable(blob)
      await rest(error.pause ?? Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** lost++) * (0.5 + Math.random() / 2), signal)
    }
  }
}

// Begin, or ask how far it is; and send what is missing. `moved` is told when something has arrived.
async function step(state, moved) {
  let offset = 0
  if (state.place === null) await create(state)
  else offset = await reached(state)
  if (state.place === null || state.fileId !== null) return
  await send(state, offset, moved)
}

async function create(state) {
  if (state.begun++ === BEGINNINGS) throw new Problem({ code: 'offline', temporary: true }, t('offline'))
  const { headers } = await ask(state, 'POST', '/files', {
    'Upload-Length': String(state.blob.size), 'Upload-Metadata': `filename ${base64(state.name)}`,
  })
  state.place = headers.get('Location')
  state.onPlace(state.place)
  taken(state, headers.get('Chatd-File-Id')) // of an empty file it is there at once
}

async function reached(state) {
  const { status, headers } = await ask(state, 'HEAD', state.place, {}, GONE)
  if (GONE.includes(status)) {
    state.place = null
    return 0
  }
  taken(state, headers.get('Chatd-File-Id'))
  return Number(headers.get('Upload-Offset'))
}

function taken(state, id) {
  if (id !== null) state.fileId = Number(id)
}

// A request without a body that is worth mentioning. Statuses of `known` are answers like others.
async function ask({ token, signal }, method, path, headers, known = []) {
  let response
  try {
    response = await fetch(path, { method, signal, headers: { ...tus(token), ...headers } })
  } catch {
    throw new Again()
  }
  if (!response.ok && !known.includes(response.status)) {
    throw refusal(response.status, await response.text().catch(() => ''))
  }
  return response
}

// The rest of the file in one request: by XMLHttpRequest, for fetch does not tell how far it is.
function send(state, offset, moved) {
  const { blob, token, signal, onProgress, place } = state
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest()
    let watch = null
    const alive = () => {
      clearTimeout(watch)
      watch = setTimeout(() => request.abort(), STALLED)
    }
    const stop = () => request.abort()
    request.open('PATCH', place)
    for (const [name, value] of Object.entries(tus(token))) request.setRequestHeader(name, value)
    request.setRequestHeader('Content-Type', 'application/offset+octet-stream')
    request.setRequestHeader('Upload-Offset', String(offset))
    request.upload.addEventListener('progress', ({ loaded }) => {
      alive()
      if (loaded > 0) moved()
      onProgress(Math.min(1, (offset + loaded) / Math.max(1, blob.size)))
    })
    request.addEventListener('loadend', () => {
      clearTimeout(watch)
      signal?.removeEventListener('abort', stop)
      const { status } = request
      if (status === 0) reject(new Again())
      else if (status === 409) reject(new Again(FIRST_PAUSE)) // it goes on elsewhere: HEAD tells where
      else if (GONE.includes(status)) {
        state.place = null
        resolve()
      } else if (status >= 300) reject(refusal(status, request.responseText))
      else {
        taken(state, request.getResponseHeader('Chatd-File-Id'))
        resolve()
      }
    })
    signal?.addEventListener('abort', stop)
    alive()
    request.send(blob.slice(offset))
  })
}

async function described({ fileId, token, onProgress }) {
  try {
    const file = await post('file_get', { file_id: fileId }, token)
    onProgress(1)
    return file
  } catch (problem) {
    throw problem.temporary ? new Again(problem.retryAfter) : problem
  }
}

function tus(token) {
  return { 'Tus-Resumable': '1.0.0', Authorization: `Bearer ${token}` }
}

// What an answer that is no success means: a reply as JSON, or a line of text, or whatever stands before the server.
function refusal(status, text) {
  let reply = null
  try {
    reply = JSON.parse(text)
  } catch {
    if (status >= 502 && status <= 504) return new Again()
  }
  if (reply?.error?.temporary) return new Again(reply.error.retry_after_ms)
  if (reply?.error) return new Problem(reply.error, reply.message)
  return new Problem({ code: `http_${status}` }, text.trim().slice(0, 200) || t('media.refused'))
}

// UTF-8 in base64, as Upload-Metadata has it.
function base64(text) {
  return btoa(Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join(''))
}

// A file that is not on the disk any more looks like a network that is not there: tell them apart.
async function readable(blob) {
  try {
    await blob.slice(0, 1).arrayBuffer()
  } catch {
    throw new Problem({ code: 'unreadable' }, t('media.unreadable'))
  }
}

// Wait; less when the network comes back, or when it is given up.
function rest(milliseconds, signal) {
  return new Promise((resolve) => {
    const over = new AbortController()
    const end = () => {
      clearTimeout(timer)
      over.abort()
      resolve()
    }
    const timer = setTimeout(end, milliseconds)
    addEventListener('online', end, { signal: over.signal })
    signal?.addEventListener('abort', end, { signal: over.signal })
  })
}

// The server need not keep what nobody goes on with. It forgets it in a day anyhow.
function forget({ place, token }) {
  if (place !== null && navigator.onLine) fetch(place, { method: 'DELETE', keepalive: true, headers: tus(token) }).catch(() => {})
}
