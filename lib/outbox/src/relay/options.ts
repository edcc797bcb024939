import pg from 'pg'
import { reasonOf, withoutPassword } from '../errors.ts'
import { longestLaneName } from '../register/register-lane.ts'
import { expectOptions, expectType, expectWhole, faultOfName, optionFault } from '../option-checks.ts'
import { type Backoff, refusedBackoff as defaultBackoff } from './backoff.ts'
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
  adopt?: boolean | undefined
  /** How often to look without being rung, 100 to 3,600,000: 5,000 unless given. Spread at random. */
  pollMs?: number | undefined
  /** Messages of a lane in flight at a time, 1 to 10,000: 2,000 unless given. Large ones are fewer, 16 MiB or so together. */
  window?: number | undefined
  /** How long the lanes are kept while the broker is gone, at least 100: 5,000 unless given. A neighbour may reach it. */
  brokerDeadlineMs?: number | undefined
  /** How long to wait for a confirm before the channel is replaced, at least 100: 30,000 unless given. */
  confirmDeadlineMs?: number | undefined
  /** How long a row waits that the broker refused, and longer each time: 1 s, doubled up to 60 s, unless given. */
  refusedBackoff?: Backoff | undefined
  /** After how many refusals a row is parked, 1 to 1,000: 10 unless given. */
  parkAfter?: number | undefined
  /** Hears what happens. What it throws is an uncaught exception of the process, and no trouble of the relay. */
  observe?: Observe | undefined
  /** Hears of each message that is sent, and how that ended, for traces. For what it throws the same holds. */
  onSend?: OnSend | undefined
}

/** The options with every default filled in. `onSend` is null if there is none: a message without one costs nothing for it. */
export type RelaySettings = {
  [Option in Exclude<keyof RelayOptions, 'onSend'>]-?: Exclude<RelayOptions[Option], undefined>
} & { onSend: OnSend | null }

const defaults = {
  adopt: true,
  pollMs: 5_000,
  window: 2_000,
  confirmDeadlineMs: 30_000,
  brokerDeadlineMs: 5_000,
  refusedBackoff: defaultBackoff,
  parkAfter: 10,
  observe: () => {},
  onSend: null,
} satisfies Partial<RelaySettings>

/** @throws OutboxError `option_invalid` with the option and what was expected. */
export const checkOptions = (options: RelayOptions): RelaySettings => {
  expectOptions('a relay', ['databaseUrl', 'rabbitmqUrl', 'lane', ...Object.keys(defaults)], options)
  const {
    databaseUrl,
    rabbitmqUrl,
    lane,
    adopt = defaults.adopt,
    pollMs = defaults.pollMs,
    window = defaults.window,
    confirmDeadlineMs = defaults.confirmDeadlineMs,
    brokerDeadlineMs = defaults.brokerDeadlineMs,
    refusedBackoff = defaults.refusedBackoff,
    parkAfter = defaults.parkAfter,
    observe = defaults.observe,
    onSend,
  } = options
  expectType('databaseUrl', databaseUrl, 'string')
  expectType('rabbitmqUrl', rabbitmqUrl, 'string')
  expectType('adopt', adopt, 'boolean')
  expectType('observe', observe, 'function')
  if (onSend !== undefined) expectType('onSend', onSend, 'function')
  expectOptions('a relay', ['firstMs', 'capMs'], refusedBackoff, 'refusedBackoff.')
  const unreadable = faultOfDatabaseAddress(databaseUrl)
  if (unreadable !== null) {
    throw optionFault(
      'databaseUrl',
      `expected an address like postgres://user:password@host:5432/database, ${unreadable}`,
    )
  }
  const unusable = faultOfBrokerAddress(rabbitmqUrl)
  if (unusable !== null) {
    throw optionFault('rabbitmqUrl', `expected an address like amqp://user:password@host:5672/vhost, ${unusable}`)
  }
  const wrong = faultOfName(lane, longestLaneName)
  if (wrong !== null) throw optionFault('lane', wrong)
  expectWhole('pollMs', pollMs, 100, 3_600_000)
  expectWhole('window', window, 1, 10_000)
  expectWhole('parkAfter', parkAfter, 1, 1_000)
  expectWhole('refusedBackoff.firstMs', refusedBackoff.firstMs, 1, 3_600_000)
  expectWhole('refusedBackoff.capMs', refusedBackoff.capMs, refusedBackoff.firstMs, 86_400_000)
  expectWhole('brokerDeadlineMs', brokerDeadlineMs, 100, 3_600_000)
  expectWhole('confirmDeadlineMs', confirmDeadlineMs, 100, 3_600_000)
  return {
    databaseUrl,
    rabbitmqUrl,
    lane,
    adopt,
    pollMs,
    window,
    confirmDeadlineMs,
    brokerDeadlineMs,
    refusedBackoff,
    parkAfter,
    observe,
    onSend: onSend ?? defaults.onSend,
  }
}

/** Numbers that amqplib reads behind the address, and the least of each but 0: AMQP has no frames of less than 4 KiB. */
const brokerNumbers = { channelMax: 1, frameMax: 4_096, heartbeat: 1 }

/** What is wrong with the address, or null. Without a host amqplib would go to this machine. Nothing of a password is told. */
const faultOfBrokerAddress = (address: string): string | null => {
  const url = URL.parse(address)
  if (url === null) return 'got one that cannot be read'
  if (!/^amqps?:$/.test(url.protocol)) return `got one of the protocol ${url.protocol.slice(0, -1)}`
  if (url.hostname === '') return 'got one without a host'
  try {
    // The user, the password and the virtual host: `%` stands for itself as `%25`.
    for (const part of [url.username, url.password, url.pathname]) decodeURIComponent(part)
  } catch {
    return 'got one with a % that stands for nothing'
  }
  for (const [name, least] of Object.entries(brokerNumbers)) {
    const value = url.searchParams.get(name)
    if (value === null || value === '0' || (/^\d{1,9}$/.test(value) && Number(value) >= least)) continue
    return `got ${name}=${value}, which is to be 0 or a whole number of at least ${least}`
  }
  return null
}

/** Of the last one pg takes the path for the folder of a socket. */
const protocols: ReadonlySet<string> = new Set(['postgres', 'postgresql', 'socket'])

/** Why pg cannot read the address, or we cannot show it, or it is not one of Postgres; null if all is well. */
const faultOfDatabaseAddress = (address: string): string | null => {
  if (!address.startsWith('/')) {
    // pg takes any other text for the path of an address of its own making, and whatever has a protocol for Postgres.
    const protocol = /^([\w+.-]+):\/\//.exec(address)?.[1]
    if (protocol === undefined) return 'got one without "://"'
    if (!protocols.has(protocol.toLowerCase())) return `got one of the protocol ${protocol}`
  }
  try {
    withoutPassword(address)
    void new pg.Client(address)
    return null
  } catch (error) {
    return `got one that cannot be read: ${reasonOf(error)}`
  }
}
