// What the server answers instead of doing it. `message` is for people, in their language; `code` is for programs.
export class Problem extends Error {
  constructor({ code, field = null, temporary = false, retry_after_ms = null }, message) {
    super(message)
    this.code = code
    this.field = field
    this.temporary = temporary
    this.retryAfter = retry_after_ms
  }
}
