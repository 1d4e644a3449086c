// What belongs together while somebody is logged in, and what is asked again when it is stale.

import { Cache } from './cache.js'
import { Connection } from './connection.js'
import { explain } from './dialog.js'
import { Model } from './model.js'
import { Notifier } from './notifier.js'
import { Outbox } from './outbox.js'
import { keepPresence } from './presence.js'
import { Receipts } from './receipts.js'
import { Rules } from './rules.js'

const PAGE = 200
const LINKS = 40 * 60_000 // ms after which links to avatars are asked for again

export class App {
  #abort = new AbortController()
  #waiting = new Map()
  #members = new Map() // group → its members, as they are being asked for

  // Aborted when somebody else logs in, or nobody.
  get stopped() {
    return this.#abort.signal
  }

  // `session`: { token, user_id, username }.
  static async start(session, { router, ended }) {
    const app = new App()
    app.session = session
    app.router = router
    app.cache = await Cache.open(session.user_id)
    app.model = new Model({ me: { user_id: session.user_id, username: session.username }, cache: app.cache })
    app.rules = new Rules(app.cache)
    await Promise.all([app.model.restore(), app.rules.restore()])
    app.connection = new Connection({
      token: session.token, position: () => app.model.position(), apply: (sync) => app.model.apply(sync),
    })
    app.outbox = new Outbox({
      model: app.model, connection: app.connection, token: session.token, members: (id) => app.members(id), onProblem: explain,
    })
    app.notifier = new Notifier(app)
    app.receipts = new Receipts(app)
    app.#listen(ended)
    keepPresence(app)
    await app.outbox.restore()
    app.connection.open()
    return app
  }

  #listen(ended) {
    this.connection.on('ended', ended)
    this.connection.on('event', (event) => { if (!this.model.hear(event)) this.connection.sync() })
    this.connection.on('state', (state) => { if (state === 'ready') this.refresh() })
    this.model.on('stale', (what) => this.#stale(what))
    this.timer = setInterval(() => { if (this.connection.state === 'ready') this.refresh() }, LINKS)
  }

  // Ask for what has no log: lists, names, pictures, who is there.
  refresh() {
    this.#members.clear()
    for (const what of ['server', 'profile', 'conversations', 'friends', 'online', 'requests']) this.#stale(what)
  }

  // Ask again, once for many reasons.
  #stale(what) {
    if (what.startsWith('group:')) this.#members.delete(Number(what.slice('group:'.length)))
    if (this.#waiting.has(what)) return
    this.#waiting.set(what, setTimeout(() => {
      this.#waiting.delete(what)
      this.#load(what).catch(explain)
    }))
  }

  async #load(what) {
    const { connection, model } = this
    switch (what) {
      case 'position':
        return connection.sync()
      case 'server':
        return this.rules.learn(await connection.ask('server'))
      case 'profile':
        return model.described(await connection.ask('profile'))
      case 'conversations':
        return model.list(await this.#pages('conversations', 'conversations', (last) => ({
          before_last_at: last.last_at, before_conversation_id: last.conversation_id,
        })))
      case 'friends':
        return model.befriend(await this.#pages('friends', 'friends', (last) => ({ after_username: last.username })))
      case 'requests':
        return model.waiting(await this.#pages('friend_requests', 'requests',
          (last) => ({ before_request_id: last.request_id }), { box: 'received', status: 'pending' }))
      case 'online':
        return model.present(await this.#pages('online', 'users', (last) => ({ after_username: last.username })))
      default:
        model.emit(what) // of interest to who shows it just now
    }
  }

  async #pages(op, list, following, fields = {}) {
    const all = []
    for (let more = true, after = {}; more;) {
      const page = await this.connection.ask(op, { ...fields, ...after, limit: PAGE })
      all.push(...page[list])
      more = page.more && page[list].length > 0
      if (more) after = following(page[list].at(-1))
    }
    return all
  }

  // All pages of an op's list. `following` makes the next page's fields of the last item.
  all(op, list, following, fields) {
    return this.#pages(op, list, following, fields)
  }

  // Who is in a group: asked once, and again after somebody came or left.
  members(id) {
    if (!this.#members.has(id)) {
      const asked = this.#askMembers(id)
      this.#members.set(id, asked)
      asked.catch(() => { if (this.#members.get(id) === asked) this.#members.delete(id) })
    }
    return this.#members.get(id)
  }

  async #askMembers(id) {
    const members = await this.#pages('group_members', 'members', ({ username }) => ({ after_username: username }), { conversation_id: id })
    for (const { user_id, username, nickname, avatar_url } of members) this.model.meet({ user_id, username, nickname, avatar_url })
    return members
  }

  stop() {
    this.#abort.abort()
    clearInterval(this.timer)
    this.outbox.stop()
    this.connection.close()
    this.cache.close()
  }
}
