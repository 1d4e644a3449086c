// What this browser keeps besides the cache: settings, drafts. A storage that is full or broken keeps nothing.

export const DRAFTS = 'chatd.draft.' // and whose, and in which conversation: what is written and not sent

export function kept(key, otherwise, storage = localStorage) {
  try {
    return JSON.parse(storage.getItem(key)) ?? otherwise
  } catch {
    return otherwise
  }
}

export function keep(key, value, storage = localStorage) {
  try {
    storage.setItem(key, JSON.stringify(value))
  } catch {
    // It will be as if it had never been said.
  }
}

// Forget everything whose key begins like this.
export function forget(prefix, storage = localStorage) {
  for (const key of Object.keys(storage)) if (key.startsWith(prefix)) storage.removeItem(key)
}
