// Making a group: what it is called, who is in it, and how others come in.

import { chooser, friendsOf } from '../chooser.js'
import { field, form, open } from '../dialog.js'
import { h } from '../dom.js'
import { enter } from '../joining.js'
import { t } from '../language.js'
import { options } from '../options.js'

// The ways into a group, as entries of `options`.
export function waysIn() {
  return ['invite', 'approve', 'open'].map((way) => [way, t(`group.joining.${way}`), t(`group.joining.${way}Hint`)])
}

export function newGroup(app) {
  const choice = chooser(app.model, { people: friendsOf(app.model) })
  const element = form([
    field('title', t('group.title'), { required: true, maxlength: 100, autocomplete: 'off' }),
    h('fieldset', { class: 'options' }, h('legend', {}, t('group.who')), choice.element),
    h('details', {}, h('summary', {}, t('group.moreSettings')),
      h('div', { class: 'stack' },
        field('notice', t('group.notice'), { tag: 'textarea', rows: 3, maxlength: 2000, hint: t('group.noticeHint') }),
        options('joining', t('group.joining'), waysIn(), 'invite'))),
  ], async ({ title, notice, joining }) => {
    const members = choice.chosen().map(({ username }) => username)
    const made = await app.connection.change('group_create', { title, notice: notice.trim(), joining, members })
    close()
    await enter(app, made.conversation_id)
  }, { yes: t('group.create') })
  const { close } = open(t('chats.newGroup'), element)
  element.elements.title.focus()
}
