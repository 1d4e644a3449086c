// Links to files, which need no token and end after an hour or two.

const MARGIN = 60 // seconds

// Whether a link still works, as far as it says so itself.
export function fresh(url) {
  if (!url) return false
  const until = Number(new URL(url, location.origin).searchParams.get('until'))
  return until > Date.now() / 1000 + MARGIN
}

// A file with links that work: these, or new ones from the server.
export async function freshened(connection, file) {
  return fresh(file.url) ? file : connection.ask('file_get', { file_id: file.file_id })
}
