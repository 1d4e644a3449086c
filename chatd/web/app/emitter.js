// Something that tells others what has changed.
export class Emitter {
  #listeners = new Map()

  // Call `listener` with what is emitted under this name, until `signal` is aborted.
  on(name, listener, { signal } = {}) {
    if (signal?.aborted) return
    if (!this.#listeners.has(name)) this.#listeners.set(name, new Set())
    const listeners = this.#listeners.get(name)
    listeners.add(listener)
    signal?.addEventListener('abort', () => listeners.delete(listener), { once: true })
  }

  emit(name, detail) {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) listener(detail)
  }
}
