// Whether somebody is there, in words.

import { t } from './language.js'
import { ago } from './time.js'

// `person` as the model knows them: { status, text, last_seen }.
export function seen({ status = 'offline', text = '', last_seen = null }) {
  if (status !== 'offline') return [t(`presence.${status}`), text].filter(Boolean).join(' · ')
  return last_seen === null ? t('presence.offline') : t('presence.lastSeen', { ago: ago(last_seen) })
}
