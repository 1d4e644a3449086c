import { Problem } from './problem.js'

// Ask an op over HTTP, where there is no connection yet: to sign up, to log in. Raises `Problem`.
export async function post(op, fields, token = null) {
  const headers = { 'Content-Type': 'application/json' }
  if (token !== null) headers.Authorization = `Bearer ${token}`
  let reply
  try {
    const response = await fetch(`/api/${op}`, { method: 'POST', headers, body: JSON.stringify(fields) })
    reply = await response.json()
  } catch {
    throw new Problem({ code: 'offline', temporary: true }, 'offline')
  }
  if (!reply.success) throw new Problem(reply.error, reply.message)
  return reply.data
}
