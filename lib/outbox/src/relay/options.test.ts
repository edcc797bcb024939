import { expect, test } from 'vitest'
import { checkOptions } from './options.ts'

const given = { databaseUrl: 'postgres://localhost/app', rabbitmqUrl: 'amqp://localhost', lane: 'web-1' }

const reachable = 'rabbitmqUrl: expected an address like amqp://user:password@host:5672/vhost'
const readable = 'databaseUrl: expected an address like postgres://user:password@host:5432/database'

test('what is not given has its default', () => {
  expect(checkOptions(given)).toMatchObject({ ...given, pollMs: 5_000, window: 2_000, confirmDeadlineMs: 30_000 })
})

test.each([
  [{ pollMs: 99 }, 'pollMs: expected a whole number from 100 to 3600000, got 99'],
  [{ window: 0 }, 'window: expected a whole number from 1 to 10000, got 0'],
  [{ window: 1.5 }, 'window: expected a whole number from 1 to 10000, got 1.5'],
  [{ confirmDeadlineMs: Number.NaN }, 'confirmDeadlineMs: expected a whole number from 100 to 3600000, got NaN'],
  [{ databaseUrl: undefined }, 'databaseUrl: expected text, got undefined'],
  [{ databaseUrl: 'app' }, `${readable}, got one without "://"`],
  [{ databaseUrl: 'mysql://db/app' }, `${readable}, got one of the protocol mysql`],
  [{ databaseUrl: 'https://db/app' }, `${readable}, got one of the protocol https`],
  [{ databaseUrl: 'postgres://a:b:c' }, `${readable}, got one that cannot be read: Invalid URL`],
  [
    { databaseUrl: 'postgres://db/app?sslrootcert=/none' },
    `${readable}, got one that cannot be read: ENOENT: no such file or directory, open '/none'`,
  ],
  [{ rabbitmqUrl: 'rabbit:5672' }, `${reachable}, got one of the protocol rabbit`],
  [{ rabbitmqUrl: 'http://rabbit' }, `${reachable}, got one of the protocol http`],
  [{ rabbitmqUrl: 'rabbit' }, `${reachable}, got one that cannot be read`],
  [{ rabbitmqUrl: 'amqp://' }, `${reachable}, got one without a host`],
  [{ rabbitmqUrl: 'amqp:rabbit' }, `${reachable}, got one without a host`],
  [
    { rabbitmqUrl: 'amqp://rabbit?frameMax=abc' },
    `${reachable}, got frameMax=abc, which is to be 0 or a whole number of at least 4096`,
  ],
  [
    { rabbitmqUrl: 'amqp://rabbit/?frameMax=10' },
    `${reachable}, got frameMax=10, which is to be 0 or a whole number of at least 4096`,
  ],
  [
    { rabbitmqUrl: 'amqp://rabbit?channelMax=-1' },
    `${reachable}, got channelMax=-1, which is to be 0 or a whole number of at least 1`,
  ],
  [{ lane: '' }, 'lane: expected a name of 1 to 253 characters, got 0'],
  [{ lane: 7 }, 'lane: expected text, got number'],
  [{ refusedBackoff: 1_000 }, 'refusedBackoff: expected an object, got number'],
  [{ refusedBackoff: { firstMs: 1, capMs: 2, factor: 3 } }, 'refusedBackoff.factor: a relay has no such option'],
  [{ lane: 'a\0' }, 'lane: got a NUL character or half of a surrogate pair'],
  [{ rabbitmqUrl: 'amqp://a:%zz@localhost' }, `${reachable}, got one with a % that stands for nothing`],
  [{ adopt: 'no' }, 'adopt: expected true or false, got string'],
  [{ adopt: null }, 'adopt: expected true or false, got null'],
  [{ pollMs: null }, 'pollMs: expected a whole number from 100 to 3600000, got null'],
  [{ refusedBackoff: null }, 'refusedBackoff: expected an object, got null'],
  [{ observe: null }, 'observe: expected a function, got null'],
  [{ onSend: null }, 'onSend: expected a function, got null'],
  [{ observe: console }, 'observe: expected a function, got object'],
  [{ onSend: true }, 'onSend: expected a function, got boolean'],
  [{ databaseURL: 'postgres://db/app' }, 'databaseURL: a relay has no such option, did you mean "databaseUrl"?'],
  [{ pollms: 100 }, 'pollms: a relay has no such option, did you mean "pollMs"?'],
  [{ retries: 3 }, 'retries: a relay has no such option'],
])('%o is refused with what was expected', (options, message) => {
  // As from JavaScript, which no type keeps from it.
  expect(() => Reflect.apply(checkOptions, null, [{ ...given, ...options }])).toThrow(
    expect.objectContaining({ code: 'option_invalid', message }),
  )
})

test.each([
  'postgres://app:s3cret@db:5432/app?sslmode=require',
  'postgresql://db',
  'POSTGRES://db',
  '/var/run/postgresql app',
  'postgres://app:s3cret@/app?host=/var/run/postgresql',
  'postgres://%2Fvar%2Frun%2Fpostgresql/app',
  'socket://app:s3cret@/var/run/postgresql?db=app',
  'postgres://app:s3%cret and a blank@db/app',
])('%s is an address of Postgres', (databaseUrl) => {
  expect(checkOptions({ ...given, databaseUrl })).toMatchObject({ databaseUrl })
})
