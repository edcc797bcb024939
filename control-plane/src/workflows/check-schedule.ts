import { didYouMean } from '@esteira/service'
import { cronOf } from '@esteira/workflow'

const macros = ['@yearly', '@annually', '@monthly', '@weekly', '@daily', '@midnight', '@hourly']

const fieldKinds = [
  { name: 'minute', values: '0-59' },
  { name: 'hour', values: '0-23' },
  { name: 'day of the month', values: '1-31' },
  { name: 'month', values: '1-12 or JAN-DEC' },
  { name: 'day of the week', values: '0-6 or SUN-SAT' },
]

/**
 * What is wrong with a schedule, or null. It must mean the same to Kubernetes and to the local scheduler: five fields or
 * a macro. Croner alone would also take seconds, dates, `L`, `W`, `#` and a Sunday that is 7.
 */
export const faultOfSchedule = (schedule: string): string | null => {
  if (schedule.startsWith('@')) {
    return macros.includes(schedule)
      ? null
      : `expected five fields or one of ${macros.join(', ')}${didYouMean(schedule, macros)}`
  }
  const fields = schedule.trim().split(/\s+/)
  if (fields.length !== fieldKinds.length) {
    const seconds = fields.length === 6 ? '; seconds are not among them' : ''
    const kinds = fieldKinds.map(({ name }) => name).join(', ')
    return `expected five fields (${kinds}) or a macro such as @daily, got ${fields.length}${seconds}`
  }
  for (const [index, { name, values }] of fieldKinds.entries()) {
    const field = fields[index] ?? ''
    if (!isField(field, index))
      return `the ${name} "${field}" is not valid: expected ${values}, with * , - / as in cron`
  }
  const next = cronOf({ schedule, timeZone: 'UTC' }).nextRun()
  return next === null ? 'never comes: there is no such day in any year' : null
}

const fieldText = [
  /^[0-9*?,/-]+$/,
  /^[0-9*?,/-]+$/,
  /^[0-9*?,/-]+$/,
  /^(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|[0-9*?,/-])+$/i,
  // A 7 may only be a step: every seventh day.
  /^(?:sun|mon|tue|wed|thu|fri|sat|\/\d+|[0-689*?,-])+$/i,
]

const isField = (field: string, index: number): boolean => {
  if (fieldText[index]?.test(field) !== true) return false
  try {
    // Alone among stars, so that croner's refusal can only be about this field.
    cronOf({ schedule: fieldKinds.map((_, at) => (at === index ? field : '*')).join(' '), timeZone: 'UTC' })
    return true
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) return false
    throw error
  }
}
