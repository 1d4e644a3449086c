// What was loaded, kept in IndexedDB: a second visit shows it at once and asks only for what is new.

const STORES = {
  meta: undefined, // by name: how far we have synced, who we are, our friends
  conversations: { keyPath: 'id' }, // each with the cursor of its log
  messages: { keyPath: ['conversation_id', 'seq'] },
  outbox: { keyPath: 'client_id' },
}

export class Cache {
  #database = null
  #queue = []
  #writing = Promise.resolve()

  // The cache of one user; where the browser allows none (a private window), one that keeps nothing.
  static async open(userId) {
    const cache = new Cache()
    try {
      const opening = indexedDB.open(`chatd-${userId}`, 1)
      opening.onupgradeneeded = () => {
        for (const [name, options] of Object.entries(STORES)) opening.result.createObjectStore(name, options)
      }
      cache.#database = await result(opening)
      cache.#database.onversionchange = () => cache.#database.close()
    } catch (error) {
      console.info('chatd keeps nothing in this browser:', error.message)
    }
    return cache
  }

  static forget(userId) {
    try {
      indexedDB.deleteDatabase(`chatd-${userId}`)
    } catch {
      // There is nothing to forget.
    }
  }

  // Everything in a store.
  async all(store) {
    if (this.#database === null) return []
    return result(this.#database.transaction(store).objectStore(store).getAll())
  }

  async get(store, key) {
    if (this.#database === null) return undefined
    return result(this.#database.transaction(store).objectStore(store).get(key))
  }

  // The last `most` messages of a conversation below `before`, oldest first.
  async messages(conversationId, { before, from, most }) {
    if (this.#database === null || before <= from) return []
    await this.#written()
    const range = IDBKeyRange.bound([conversationId, from], [conversationId, before], false, true)
    const found = []
    return new Promise((resolve, reject) => {
      const walk = this.#database.transaction('messages').objectStore('messages').openCursor(range, 'prev')
      walk.onerror = () => reject(walk.error)
      walk.onsuccess = () => {
        const cursor = walk.result
        if (cursor === null || found.length === most) {
          resolve(found.reverse())
        } else {
          found.push(cursor.value)
          cursor.continue()
        }
      }
    })
  }

  // Writes happen in the order asked for; those of one turn together, or not at all.
  put(store, value, key) {
    this.#write((stores) => stores(store).put(structuredClone(value), key))
  }

  remove(store, key) {
    this.#write((stores) => stores(store).delete(key))
  }

  // Change a message that is kept, if it is.
  change(conversationId, seq, change) {
    this.#write((stores) => {
      const messages = stores('messages')
      const asked = messages.get([conversationId, seq])
      asked.onsuccess = () => {
        const changed = asked.result && change(asked.result)
        if (changed) messages.put(changed)
      }
    })
  }

  // Change all messages of a conversation that are kept.
  changeAll(conversationId, change) {
    this.#write((stores) => {
      const walk = stores('messages').openCursor(all(conversationId))
      walk.onsuccess = () => {
        if (walk.result === null) return
        const changed = change(walk.result.value)
        if (changed) walk.result.update(changed)
        walk.result.continue()
      }
    })
  }

  removeAll(conversationId) {
    this.#write((stores) => stores('messages').delete(all(conversationId)))
  }

  #write(work) {
    if (this.#database === null) return
    if (this.#queue.push(work) === 1) this.#writing = new Promise((done) => { queueMicrotask(() => this.#flush(done)) })
  }

  #flush(done) {
    const queue = this.#queue
    this.#queue = []
    try {
      const transaction = this.#database.transaction(Object.keys(STORES), 'readwrite')
      for (const work of queue) work((name) => transaction.objectStore(name))
      transaction.oncomplete = transaction.onabort = () => done()
    } catch {
      done() // closed by another tab that logged out
    }
  }

  #written() {
    return this.#writing
  }

  close() {
    this.#database?.close()
    this.#database = null
  }
}

function all(conversationId) {
  return IDBKeyRange.bound([conversationId], [conversationId, []])
}

function result(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}
