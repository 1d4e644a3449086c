// Keeps the shell of the page, so that it opens without a network. What people say is not here: the page keeps that.

const NAME = 'chatd-shell'

async function keep() {
  const { files } = await (await fetch('/web/shell.json', { cache: 'no-cache' })).json()
  const cache = await caches.open(NAME)
  await cache.addAll(files.map((path) => new Request(path, { cache: 'no-cache', headers: { Accept: 'text/html, */*' } })))
}

// What the server has, or, when it cannot be reached, what was kept.
async function answer(request) {
  const cache = await caches.open(NAME)
  try {
    const response = await fetch(request)
    if (response.ok && response.status === 200) await cache.put(request, response.clone())
    return response
  } catch (error) {
    const kept = await cache.match(request, { ignoreSearch: true, ignoreVary: true })
    if (kept === undefined) throw error
    return kept
  }
}

addEventListener('install', (event) => event.waitUntil(keep().then(() => skipWaiting())))
addEventListener('activate', (event) => event.waitUntil(clients.claim()))
addEventListener('fetch', (event) => {
  const { pathname, origin } = new URL(event.request.url)
  if (event.request.method !== 'GET' || origin !== location.origin) return
  if (pathname === '/' || pathname.startsWith('/web/') || pathname === '/manifest.webmanifest') {
    event.respondWith(answer(event.request))
  }
})

// A notification was clicked: show what it was about, in a window that is open, or in a new one.
async function open({ path }) {
  const [window] = await clients.matchAll({ type: 'window' })
  if (window === undefined) return clients.openWindow(`/#/${path}`)
  window.postMessage({ path })
  await window.focus()
}

addEventListener('notificationclick', (event) => {
  event.notification.close()
  event.waitUntil(open(event.notification.data))
})
