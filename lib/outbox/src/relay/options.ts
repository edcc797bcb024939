import { OutboxError } from '../errors.ts'
import type { Observe } from './observation.ts'

/** What a relay carries, from where to where. */
export type RelayOptions = {
  /** Needs a direct connection: a pooler in transaction mode keeps neither LISTEN nor session locks. */
  databaseUrl: string
  rabbitmqUrl: string
  /** The lane's name; it is registered if it is new. */
  lane: string
  /** How often to look without being rung, 100 to 3,600,000: 5,000 unless given. Spread at random. */
  pollMs?: number
  /** Messages in flight at a time, 1 to 10,000: 1,000 unless given. A turn reads that many. */
  window?: number
  /** How long to wait for a confirm before the channel is replaced, at least 100: 30,000 unless given. */
  confirmDeadlineMs?: number
  /** Hears what happens. It must not throw. */
  observe?: Observe
}

/** The options with every default filled in. */
export type RelaySettings = Required<RelayOptions>

/** @throws OutboxError `option_invalid` with the option and its range. */
export const checkOptions = (options: RelayOptions): RelaySettings => {
  const settings = {
    ...options,
    pollMs: options.pollMs ?? 5_000,
    window: options.window ?? 1_000,
    confirmDeadlineMs: options.confirmDeadlineMs ?? 30_000,
    observe: options.observe ?? (() => {}),
  }
  inRange('pollMs', settings.pollMs, 100, 3_600_000)
  inRange('window', settings.window, 1, 10_000)
  inRange('confirmDeadlineMs', settings.confirmDeadlineMs, 100, 3_600_000)
  return settings
}

const inRange = (option: string, value: number, min: number, max: number): void => {
  if (Number.isInteger(value) && value >= min && value <= max) return
  throw new OutboxError('option_invalid', `${option}: expected a whole number from ${min} to ${max}, got ${value}`)
}
