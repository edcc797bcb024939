import { OutboxError } from '../errors.ts'
import { type Backoff, refusedBackoff } from './backoff.ts'
import type { Observe } from './observation.ts'

/** What a relay carries, from where to where. */
export type RelayOptions = {
  /** Needs a direct connection: a pooler in transaction mode keeps neither LISTEN nor session locks. */
  databaseUrl: string
  rabbitmqUrl: string
  /** The name of the relay's home lane; it is registered if it is new. */
  lane: string
  /** Whether to carry lanes as well that hold rows and have no owner: yes, unless given. */
  adopt?: boolean
  /** How often to look without being rung, 100 to 3,600,000: 5,000 unless given. Spread at random. */
  pollMs?: number
  /** Messages of a lane in flight at a time, 1 to 10,000: 2,000 unless given. */
  window?: number
  /** How long the lanes are kept while the broker is gone, at least 100: 5,000 unless given. A neighbour may reach it. */
  brokerDeadlineMs?: number
  /** How long to wait for a confirm before the channel is replaced, at least 100: 30,000 unless given. */
  confirmDeadlineMs?: number
  /** How long a row waits that the broker refused, and longer each time: 1 s, doubled up to 60 s, unless given. */
  refusedBackoff?: Backoff
  /** After how many refusals a row is parked, 1 to 1,000: 10 unless given. */
  parkAfter?: number
  /** Hears what happens. It must not throw. */
  observe?: Observe
}

/** The options with every default filled in. */
export type RelaySettings = Required<RelayOptions>

/** @throws OutboxError `option_invalid` with the option and its range. */
export const checkOptions = (options: RelayOptions): RelaySettings => {
  const settings = {
    ...options,
    adopt: options.adopt ?? true,
    pollMs: options.pollMs ?? 5_000,
    window: options.window ?? 2_000,
    confirmDeadlineMs: options.confirmDeadlineMs ?? 30_000,
    brokerDeadlineMs: options.brokerDeadlineMs ?? 5_000,
    refusedBackoff: options.refusedBackoff ?? refusedBackoff,
    parkAfter: options.parkAfter ?? 10,
    observe: options.observe ?? (() => {}),
  }
  inRange('pollMs', settings.pollMs, 100, 3_600_000)
  inRange('window', settings.window, 1, 10_000)
  inRange('parkAfter', settings.parkAfter, 1, 1_000)
  inRange('refusedBackoff.firstMs', settings.refusedBackoff.firstMs, 1, 3_600_000)
  inRange('refusedBackoff.capMs', settings.refusedBackoff.capMs, settings.refusedBackoff.firstMs, 86_400_000)
  inRange('brokerDeadlineMs', settings.brokerDeadlineMs, 100, 3_600_000)
  inRange('confirmDeadlineMs', settings.confirmDeadlineMs, 100, 3_600_000)
  return settings
}

const inRange = (option: string, value: number, min: number, max: number): void => {
  if (Number.isInteger(value) && value >= min && value <= max) return
  throw new OutboxError('option_invalid', `${option}: expected a whole number from ${min} to ${max}, got ${value}`)
}
