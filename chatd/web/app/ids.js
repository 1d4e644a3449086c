// Names that nobody else has. `crypto.randomUUID` is only there for pages that came by HTTPS or from the machine itself.

export function unique() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
