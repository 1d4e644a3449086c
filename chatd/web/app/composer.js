// Where one writes: text, mentions, files, voice; a reply, or another text for what was said.

import { explain, menu, note } from './dialog.js'
import { fill, h, iconButton } from './dom.js'
import { emojiPicker } from './emoji.js'
import { DRAFTS, keep, kept } from './kept.js'
import { t } from './language.js'
import { filesOf, kindOf, measured, pickFiles } from './picking.js'
import { preview } from './preview.js'
import { record } from './recorder.js'

const SETTLED = 700 // ms after which a click where Send was is not the second one on it
const MOST = 8192 // bytes of a message
const TYPING = 3000 // ms after which one says again that one types

// `send(fields, file?)` sends; `members()` are people who can be mentioned: [{ username, name }].
export class Composer {
  #reply = null
  #edit = null
  #saidTyping = 0
  #sentAt = 0

  constructor({ app, conversation, send, edit, members, lastOwn }) {
    Object.assign(this, { app, conversation, send, edit, members, lastOwn })
    this.text = h('textarea', { rows: 1, 'aria-label': t('composer.text'), placeholder: t('composer.text'), autocomplete: 'off', enterkeyhint: 'send' })
    this.text.value = kept(this.#draft, '', sessionStorage)
    this.context = h('div', { class: 'composer-context', hidden: true })
    this.suggestions = h('ul', { class: 'suggestions', role: 'listbox', id: 'suggestions', 'aria-label': t('composer.mention'), hidden: true })
    this.button = iconButton('send', t('composer.send'), () => this.#submit(), { class: 'icon-button send' })
    this.voice = iconButton('microphone', t('composer.voice'), () => this.#record())
    const attach = iconButton('attach', t('composer.attach'), () => menu(attach, [
      { label: t('composer.media'), icon: 'image', act: async () => this.files(await pickFiles('image/*,video/*')) },
      { label: t('composer.file'), icon: 'file', act: async () => this.files(await pickFiles()) },
      { label: t('composer.place'), icon: 'place', act: () => this.#place() },
      { label: t('composer.card'), icon: 'people', act: () => this.#card() },
    ], t('composer.attach')), { 'aria-haspopup': 'menu' })
    const emoji = iconButton('emoji', t('composer.emoji'), () => emojiPicker(emoji, (one) => this.#insert(one)))
    this.bar = h('div', { class: 'composer-bar' }, attach, h('div', { class: 'composer-field' }, this.text, emoji), this.voice, this.button)
    this.element = h('div', { class: 'composer' }, this.suggestions, this.context, this.bar)
    this.text.addEventListener('input', () => this.#typed())
    this.text.addEventListener('keydown', (event) => this.#key(event))
    this.text.addEventListener('blur', () => setTimeout(() => this.#suggest([]), 150))
    this.text.addEventListener('paste', (event) => {
      const files = filesOf(event)
      if (files.length === 0) return
      event.preventDefault()
      this.files(files)
    })
    this.#fit()
  }

  get #draft() {
    return `${DRAFTS}${this.app.model.me.user_id}.${this.conversation.id}`
  }

  focus() {
    this.text.focus({ preventScroll: true })
  }

  // Answer a message.
  reply(message) {
    this.#restore()
    this.#reply = message
    this.#show(t('composer.replying', { name: this.app.model.nameOf(message.from_user_id, message.from_username) }), preview(message))
  }

  // Write another text for a message of mine.
  change(message) {
    this.#restore()
    this.#reply = null
    this.#edit = message
    this.text.value = message.content
    this.#show(t('composer.editing'), message.content)
    this.#fit()
  }

  #show(title, text) {
    fill(this.context, h('div', {}, h('strong', {}, title), h('span', {}, text)), iconButton('close', t('cancel'), () => this.#leave()))
    this.context.hidden = false
    this.focus()
  }

  // Nobody answers or changes what is not there any more.
  forget(id) {
    if ([this.#reply?.id, this.#edit?.id].includes(id)) this.#leave()
  }

  #leave() {
    this.#restore()
    this.#reply = null
    this.context.hidden = true
    this.focus()
  }

  // Have the draft again that an edit took the place of.
  #restore() {
    if (this.#edit === null) return
    this.#edit = null
    this.text.readOnly = false
    this.text.value = kept(this.#draft, '', sessionStorage)
    this.#fit()
  }

  // Send files, each as a message; what was written goes with the first.
  async files(files) {
    if (files.length === 0) return
    if (this.#edit !== null) this.#leave() // another text for what was said has no files
    const content = this.text.value.trim()
    const fields = files.map((file, at) => ({ kind: kindOf(file), ...this.#fields(at === 0 ? content : '') }))
    this.#clear()
    const previews = await Promise.all(files.map(measured)) // so that nothing moves when pictures are drawn
    files.forEach((file, at) => this.send(fields[at], { blob: file, name: file.name, preview: previews[at] }))
  }

  #fields(content) {
    const fields = {}
    if (content !== '') fields.content = content
    if (this.#reply !== null) fields.reply_to = this.#reply.id
    return fields
  }

  #submit() {
    const content = this.text.value.trim()
    if (content === '') return
    if (new TextEncoder().encode(content).length > MOST) return note(t('composer.tooLong'), { wrong: true })
    if (this.#edit !== null) {
      this.#save(this.#edit, content)
      return
    }
    this.send(this.#fields(content))
    this.#sentAt = Date.now()
    this.#clear()
    this.focus()
  }

  // The field stays as it is until the server has the other text: it may refuse.
  async #save(message, content) {
    this.text.readOnly = true
    try {
      if (content !== message.content) await this.edit(message, content)
      if (this.#edit === message) this.#leave()
    } catch (problem) {
      explain(problem)
    } finally {
      this.text.readOnly = false
    }
  }

  #clear() {
    this.text.value = ''
    this.#answered()
    this.#saidTyping = 0
    this.#fit()
  }

  #answered() {
    this.#reply = null
    this.context.hidden = true
  }

  #typed() {
    this.#fit()
    const now = Date.now()
    const { id } = this.conversation
    if (this.text.value === '') {
      if (this.#saidTyping > 0) this.app.connection.say('typing', { conversation_id: id, on: false })
      this.#saidTyping = 0
    } else if (now - this.#saidTyping > TYPING && this.#edit === null && this.conversation.kind !== 'self') {
      this.#saidTyping = now
      this.app.connection.say('typing', { conversation_id: id })
    }
    this.#suggest(this.#matching())
  }

  #fit() {
    const { text } = this
    text.style.height = 'auto'
    text.style.height = `${text.scrollHeight + 2}px`
    const isEmpty = text.value.trim() === ''
    this.button.hidden = isEmpty
    this.voice.hidden = !isEmpty
    if (this.#edit === null) {
      if (text.value === '') sessionStorage.removeItem(this.#draft)
      else keep(this.#draft, text.value, sessionStorage)
    }
  }

  #insert(text) {
    const { selectionStart: from, selectionEnd: to } = this.text
    this.text.setRangeText(text, from, to, 'end')
    this.#typed()
    this.focus()
  }

  #key(event) {
    if (event.isComposing || event.keyCode === 229) return // an input method is at work
    if (!this.suggestions.hidden && this.#choose(event)) return
    const isTouch = matchMedia('(pointer: coarse)').matches
    if (event.key === 'Enter' && !event.shiftKey && !isTouch) {
      event.preventDefault()
      this.#submit()
    } else if (event.key === 'Escape' && !this.context.hidden) {
      event.preventDefault()
      this.#leave()
    } else if (event.key === 'ArrowUp' && this.text.value === '') {
      const last = this.lastOwn()
      if (last === undefined) return
      event.preventDefault()
      this.change(last)
    }
  }

  // Mentions: after an @, whoever's name begins with what follows.

  #matching() {
    const [, begun] = /(?:^|\s)@([\p{L}\p{N}_.-]*)$/u.exec(this.text.value.slice(0, this.text.selectionStart)) ?? []
    if (begun === undefined || this.conversation.kind !== 'group') return []
    const wanted = begun.toLocaleLowerCase()
    const all = ['admin', 'owner'].includes(this.conversation.role) ? [{ username: 'all', name: t('composer.everybody') }] : []
    return [...this.members(), ...all]
      .filter(({ username, name }) => username.toLocaleLowerCase().startsWith(wanted) || name.toLocaleLowerCase().startsWith(wanted)).slice(0, 6)
  }

  #suggest(people) {
    this.suggestions.hidden = people.length === 0
    fill(this.suggestions, people.map(({ username, name }, at) =>
      h('li', { role: 'option', id: `suggestion-${at}`, 'aria-selected': String(at === 0), dataset: { username }, on: { pointerdown: (event) => { event.preventDefault(); this.#mention(username) } } },
        h('strong', {}, name), name === username ? null : ` @${username}`)))
    if (people.length > 0) this.text.setAttribute('aria-activedescendant', 'suggestion-0')
    else this.text.removeAttribute('aria-activedescendant')
  }

  #choose(event) {
    const options = [...this.suggestions.children]
    const at = options.findIndex((option) => option.getAttribute('aria-selected') === 'true')
    if (['Enter', 'Tab'].includes(event.key)) {
      this.#mention(options[at].dataset.username)
    } else if (event.key === 'Escape') {
      this.#suggest([])
    } else if (['ArrowDown', 'ArrowUp'].includes(event.key)) {
      const next = (at + (event.key === 'ArrowDown' ? 1 : -1) + options.length) % options.length
      options.forEach((option, place) => option.setAttribute('aria-selected', String(place === next)))
      this.text.setAttribute('aria-activedescendant', `suggestion-${next}`)
    } else {
      return false
    }
    event.preventDefault()
    return true
  }

  #mention(username) {
    const { selectionStart: to } = this.text
    const from = this.text.value.slice(0, to).lastIndexOf('@')
    this.text.setRangeText(`@${username} `, from, to, 'end')
    this.#suggest([])
    this.#typed()
  }

  // Other things than text

  #record() {
    if (Date.now() - this.#sentAt < SETTLED) return this.focus()
    const recorder = record({
      onDone: (blob, name) => { this.#recorded(recorder); this.send({ kind: 'voice', ...this.#fields('') }, { blob, name }); this.#answered() },
      onCancel: () => this.#recorded(recorder),
    })
    this.bar.hidden = true
    this.element.append(recorder)
  }

  #recorded(recorder) {
    recorder.remove()
    this.bar.hidden = false
    this.focus()
  }

  #place() {
    navigator.geolocation.getCurrentPosition(
      ({ coords }) => this.send({ kind: 'location', content: `geo:${coords.latitude.toFixed(5)},${coords.longitude.toFixed(5)}` }),
      () => note(t('composer.noPlace'), { wrong: true }))
  }

  async #card() {
    const { pickPeople } = await import('./people_picker.js')
    const picked = await pickPeople(this.app, { title: t('composer.card'), yes: t('composer.send'), most: 1, min: 1 })
    for (const { username } of picked ?? []) this.send({ kind: 'card', content: username })
  }
}
