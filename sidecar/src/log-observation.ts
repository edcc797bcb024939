import type { Observation } from '@esteira/outbox/relay'
import type { Log } from '@esteira/service'

/** What people should look at is louder than what happens all day. */
const levels: Record<Observation['kind'], keyof Log> = {
  'relay.owned': 'info',
  'relay.waiting': 'info',
  'relay.released': 'info',
  'relay.fenced': 'warn',
  'relay.lost': 'warn',
  'relay.batch': 'debug',
  'relay.moved': 'debug',
  'relay.refused': 'warn',
  'relay.parked': 'error',
  'relay.failed': 'error',
  'relay.stopped': 'info',
  'database.unavailable': 'warn',
  'broker.unavailable': 'warn',
  'broker.connected': 'info',
  'broker.lost': 'warn',
  'broker.channel-closed': 'warn',
  'broker.blocked': 'warn',
  'broker.unblocked': 'info',
  'bell.lost': 'warn',
  'bell.listening': 'info',
}

/** Writes an observation as a line of its own: its kind is the line's event. */
export const logObservation = (log: Log, observation: Observation): void => {
  const { kind, ...fields } = observation
  if (!('error' in fields)) return log[levels[kind]]({ event: kind, ...fields })
  const { error, ...rest } = fields
  log[levels[kind]]({ event: kind, ...rest, err: error })
}
