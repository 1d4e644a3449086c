// Files that somebody chooses, drops or pastes, and what each is to be sent as.

const PICTURES = ['png', 'jpeg', 'gif', 'webp', 'avif', 'bmp'] // what the server knows and every browser shows
const SOUNDS = ['mpeg', 'mp3', 'mp4', 'x-m4a', 'aac', 'ogg', 'webm', 'flac', 'x-flac', 'wav', 'x-wav']
const FILMS = ['mp4', 'webm', 'ogg', 'quicktime']
const PATIENCE = 2000 // ms after which something is sent without its measures

// Let somebody choose files. Resolves to them, or to none. `accept` as <input> has it.
export function pickFiles(accept = '', { multiple = true } = {}) {
  return new Promise((resolve) => {
    const input = document.createElement('input')
    Object.assign(input, { type: 'file', accept, multiple, hidden: true })
    const end = () => {
      input.remove()
      resolve([...input.files])
    }
    input.addEventListener('change', end)
    input.addEventListener('cancel', end)
    document.body.append(input)
    input.click()
  })
}

// Whether there are files in what is dragged over the page.
export function carriesFiles(event) {
  return event.dataTransfer?.types.includes('Files') ?? false
}

// The files of a drop or a paste; no folders. Office programs paste a picture of a text besides the text: the text counts.
export function filesOf(event) {
  const data = event.dataTransfer ?? event.clipboardData
  if (!data) return []
  if (event.clipboardData && ['text/plain', 'text/html'].every((type) => data.types.includes(type))) return []
  return [...data.items]
    .filter((item) => item.kind === 'file' && !item.webkitGetAsEntry?.()?.isDirectory)
    .map((item) => item.getAsFile()).filter(Boolean)
    .map((file) => (event.clipboardData && file.name === 'image.png' ? new File([file], `${stamp('picture')}.png`, { type: file.type }) : file))
}

// The kind of message that something of this type is sent as: image, voice, video or file. For blobs, and for files as
// the server describes them, who looks into them.
export function kindOf({ type }) {
  const [whole, family, name] = /^(\w+)\/([\w.+-]+)/.exec(type) ?? []
  if (whole === undefined) return 'file'
  if (family === 'image' && PICTURES.includes(name)) return 'image'
  if (family === 'audio' && SOUNDS.includes(name)) return 'voice'
  if (family === 'video' && FILMS.includes(name)) return 'video'
  return 'file'
}

// How large a picture or a film is, so that its place is there before it is: { width, height }, or null.
export function measured(blob) {
  const kind = kindOf(blob)
  if (kind !== 'image' && kind !== 'video') return Promise.resolve(null)
  return new Promise((resolve) => {
    const url = URL.createObjectURL(blob)
    const element = document.createElement(kind === 'image' ? 'img' : 'video')
    const end = () => {
      const width = element.naturalWidth || element.videoWidth
      const height = element.naturalHeight || element.videoHeight
      URL.revokeObjectURL(url)
      resolve(width && height ? { width, height } : null)
    }
    for (const event of ['load', 'loadedmetadata', 'error']) element.addEventListener(event, end, { once: true })
    setTimeout(end, PATIENCE)
    element.src = url
  })
}

// A name for what has none: what it is, and the time.
export function stamp(word) {
  const now = new Date()
  const local = new Date(now - now.getTimezoneOffset() * 60_000).toISOString()
  return `${word} ${local.slice(0, 10)} ${local.slice(11, 19).replaceAll(':', '.')}`
}
