import pg from 'pg'
import { reasonOf, withoutPassword } from '../errors.ts'
import { longestLaneName } from '../register/register-lane.ts'
import { expectOptions, expectType, expectWhole, faultOfName, optionFault } from '../option-checks.ts'
import { type Backoff, refusedBackoff } from './backoff.ts'
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
  refusedBackoff,
  parkAfter: 10,
  observe: () => {},
  onSend: null,
} satisfies Partial<RelaySettings>

/** @throws OutboxError `option_invalid` with the option and what was expected. */
export const checkOptions = (options: RelayOptions): RelaySettings => {
  expectOptions('a relay', ['databaseUrl', 'rabbitmqUrl', 'lane', ...Object.keys(defaults)], options)
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
  expectType('databaseUrl', databaseUrl, 'string')
  expectType('rabbitmqUrl', rabbitmqUrl, 'string')
  expectType('adopt', settings.adopt, 'boolean')
  expectType('observe', settings.observe, 'function')
  if (settings.onSend !== null) expectType('onSend', settings.onSend, 'function')
  expectOptions('a relay', ['firstMs', 'capMs'], settings.refusedBackoff, 'refusedBackoff.')
  const unreadable = faultOfDatabaseAddress(databaseUrl)
  if (unreadable !== null) {
    throw optionFault(
      'databaseUrl',
      `expected an address like postgres://user:password@host:5432/database, ${unreadable}`,
    )
  }
  if (!isBrokerAddress(rabbitmqUrl)) {
    throw optionFault('rabbitmqUrl', 'expected an address like amqp://user:password@host:5672/vhost')
  }
  const wrong = faultOfName(lane, longestLaneName)
  if (wrong !== null) throw optionFault('lane', wrong)
  expectWhole('pollMs', settings.pollMs, 100, 3_600_000)
  expectWhole('window', settings.window, 1, 10_000)
  expectWhole('parkAfter', settings.parkAfter, 1, 1_000)
  expectWhole('refusedBackoff.firstMs', settings.refusedBackoff.firstMs, 1, 3_600_000)
  expectWhole('refusedBackoff.capMs', settings.refusedBackoff.capMs, settings.refusedBackoff.firstMs, 86_400_000)
  expectWhole('brokerDeadlineMs', settings.brokerDeadlineMs, 100, 3_600_000)
  expectWhole('confirmDeadlineMs', settings.confirmDeadlineMs, 100, 3_600_000)
  return settings
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
