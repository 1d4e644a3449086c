// A message in one line.

import { t } from './language.js'
import { place } from './text.js'

export function preview(message) {
  if (message.recalled_at) return t('message.recalled')
  switch (message.kind) {
    case 'text':
      return message.content
    case 'location':
      return `${t('kind.location')}: ${place(message.content).name}`
    case 'card':
      return `${t('kind.card')}: ${message.content}`
    case 'encrypted':
      return t('kind.encrypted')
    default:
      return [t(`kind.${message.kind}`), message.content].filter(Boolean).join(': ')
  }
}
