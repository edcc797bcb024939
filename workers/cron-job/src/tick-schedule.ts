import { type Setting, text } from '@esteira/service'
import { cronOf } from '@esteira/workflow/tick'

/** The schedule by which a tick's Job was started; empty where none is told. */
export const tickSchedule: Setting<string> = {
  ...text('ESTEIRA_TICK_SCHEDULE', { fallback: '' }),
  parse: (value) =>
    isRead(() => cronOf({ schedule: value, timeZone: 'UTC' }))
      ? { ok: true, value }
      : { ok: false, expected: 'five fields of cron or a macro such as @daily', hint: '' },
}

/** The zone of that schedule. */
export const tickTimeZone: Setting<string> = {
  ...text('ESTEIRA_TICK_TIME_ZONE', { fallback: 'UTC' }),
  parse: (value) =>
    isRead(() => new Intl.DateTimeFormat('en', { timeZone: value }))
      ? { ok: true, value }
      : { ok: false, expected: 'a time zone of the IANA database, such as America/Sao_Paulo', hint: '' },
}

const isRead = (read: () => unknown): boolean => {
  try {
    read()
    return true
  } catch (error) {
    // What croner and `Intl` throw for what they cannot read.
    if (error instanceof TypeError || error instanceof RangeError) return false
    throw error
  }
}
