import pg from 'pg'
import { OutboxError, reasonOf, withoutPassword } from '../errors.ts'
import { type Backoff, refusedBackoff } from './backoff.ts'
import { didYouMean } from '../did-you-mean.ts'
import { unstorableText } from '../enqueue/unstorable-text.ts'
import type { Observe } from './observation.ts'
import type { OnSend } from './publish/on-send.ts'

/** What a relay carries, from where to where. */
export type RelayOptions = {
  /**
   * As `pg` takes it: `postgres://user:password@host:5432/database`, or the folder of a socket and a database with a blank
   * between them. Needs a direct connection: a pooler in transaction mode keeps neither LISTEN nor session locks.
   */
  databaseUrl: string
  /** `amqp://user:password@host:5672/vhost`, or `amqps://`. */
  rabbitmqUrl: string
  /** The name of the relay's home lane, at most 253 characters; it is registered if it is new. */
  lane: string
  /** Whether to carry lanes as well that hold rows and have no owner: yes, unless given. */
  adopt?: boolean
  /** How often to look without being rung, 100 to 3,600,000: 5,000 unless given. Spread at random. */
  pollMs?: number
  /** Messages of a lane in flight at a time, 1 to 10,000: 2,000 unless given. Large ones are fewer, 16 MiB or so together. */
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
  /** Hears of each message that is sent, and how that ended, for traces. It must not throw. */
  onSend?: OnSend
}

/** The options with every default filled in. */
export type RelaySettings = Required<RelayOptions>

const defaults = {
  adopt: true,
  pollMs: 5_000,
  window: 2_000,
  confirmDeadlineMs: 30_000,
  brokerDeadlineMs: 5_000,
  refusedBackoff,
  parkAfter: 10,
  observe: () => {},
  onSend: () => undefined,
} satisfies Partial<RelayOptions>

/** The longest name that the register of lanes takes. */
const longestLane = 253

/** @throws OutboxError `option_invalid` with the option and what was expected. */
export const checkOptions = (options: RelayOptions): RelaySettings => {
  // From JavaScript, or an environment, anything may come.
  ofType('options', options, 'object')
  onlyOf(['databaseUrl', 'rabbitmqUrl', 'lane', ...Object.keys(defaults)], options)
  const settings: RelaySettings = {
    databaseUrl: options.databaseUrl,
    rabbitmqUrl: options.rabbitmqUrl,
    lane: options.lane,
    adopt: options.adopt ?? defaults.adopt,
    pollMs: options.pollMs ?? defaults.pollMs,
    window: options.window ?? defaults.window,
    confirmDeadlineMs: options.confirmDeadlineMs ?? defaults.confirmDeadlineMs,
    brokerDeadlineMs: options.brokerDeadlineMs ?? defaults.brokerDeadlineMs,
    refusedBackoff: options.refusedBackoff ?? defaults.refusedBackoff,
    parkAfter: options.parkAfter ?? defaults.parkAfter,
    observe: options.observe ?? defaults.observe,
    onSend: options.onSend ?? defaults.onSend,
  }
  const { databaseUrl, rabbitmqUrl, lane } = settings
  ofType('databaseUrl', databaseUrl, 'string')
  ofType('rabbitmqUrl', rabbitmqUrl, 'string')
  ofType('lane', lane, 'string')
  ofType('adopt', settings.adopt, 'boolean')
  ofType('observe', settings.observe, 'function')
  ofType('onSend', settings.onSend, 'function')
  ofType('refusedBackoff', settings.refusedBackoff, 'object')
  onlyOf(['firstMs', 'capMs'], settings.refusedBackoff, 'refusedBackoff.')
  const unreadable = faultOfDatabaseAddress(databaseUrl)
  if (unreadable !== null) {
    throw fault('databaseUrl', `expected an address like postgres://user:password@host:5432/database, ${unreadable}`)
  }
  if (!isBrokerAddress(rabbitmqUrl)) {
    throw fault('rabbitmqUrl', 'expected an address like amqp://user:password@host:5672/vhost')
  }
  if (lane.length < 1 || lane.length > longestLane) {
    throw fault('lane', `expected a name of 1 to ${longestLane} characters, got ${lane.length}`)
  }
  if (unstorableText(lane) !== null) throw fault('lane', 'got a NUL character or half of a surrogate pair')
  inRange('pollMs', settings.pollMs, 100, 3_600_000)
  inRange('window', settings.window, 1, 10_000)
  inRange('parkAfter', settings.parkAfter, 1, 1_000)
  inRange('refusedBackoff.firstMs', settings.refusedBackoff.firstMs, 1, 3_600_000)
  inRange('refusedBackoff.capMs', settings.refusedBackoff.capMs, settings.refusedBackoff.firstMs, 86_400_000)
  inRange('brokerDeadlineMs', settings.brokerDeadlineMs, 100, 3_600_000)
  inRange('confirmDeadlineMs', settings.confirmDeadlineMs, 100, 3_600_000)
  return settings
}

/** Never the value: an address may hold a password. */
const fault = (option: string, what: string): OutboxError => new OutboxError('option_invalid', `${option}: ${what}`)

const kinds = { string: 'text', boolean: 'true or false', function: 'a function', object: 'an object' }

const ofType = (option: string, value: unknown, type: keyof typeof kinds): void => {
  if (typeof value === type && value !== null) return
  throw fault(option, `expected ${kinds[type]}, got ${value === null ? 'null' : typeof value}`)
}

const onlyOf = (names: readonly string[], given: object, within = ''): void => {
  for (const name of Object.keys(given)) {
    if (!names.includes(name)) throw fault(`${within}${name}`, `a relay has no such option${didYouMean(name, names)}`)
  }
}

/** Whether the user, the password and the virtual host can be read, too: `%` stands for itself as `%25`. */
const isBrokerAddress = (address: string): boolean => {
  const url = URL.parse(address)
  if (url === null || !/^amqps?:$/.test(url.protocol)) return false
  try {
    for (const part of [url.username, url.password, url.pathname]) decodeURIComponent(part)
    return true
  } catch {
    return false
  }
}

/** Why pg cannot read the address, or we cannot show it; null if both can. */
const faultOfDatabaseAddress = (address: string): string | null => {
  // pg takes any other text for the path of an address of its own making.
  if (!address.startsWith('/') && !/^\w+:\/\//.test(address)) return 'got one without "://"'
  try {
    withoutPassword(address)
    void new pg.Client(address)
    return null
  } catch (error) {
    return `got one that cannot be read: ${reasonOf(error)}`
  }
}

const inRange = (option: string, value: number, min: number, max: number): void => {
  if (Number.isInteger(value) && value >= min && value <= max) return
  throw fault(option, `expected a whole number from ${min} to ${max}, got ${value}`)
}
