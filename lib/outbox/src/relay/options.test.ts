import { expect, test } from 'vitest'
import { checkOptions } from './options.ts'

const given = { databaseUrl: 'postgres://localhost/app', rabbitmqUrl: 'amqp://localhost', lane: 'web-1' }

test('what is not given has its default', () => {
  expect(checkOptions(given)).toMatchObject({ ...given, pollMs: 5_000, window: 2_000, confirmDeadlineMs: 30_000 })
})

test.each([
  [{ pollMs: 99 }, 'pollMs: expected a whole number from 100 to 3600000, got 99'],
  [{ window: 0 }, 'window: expected a whole number from 1 to 10000, got 0'],
  [{ window: 1.5 }, 'window: expected a whole number from 1 to 10000, got 1.5'],
  [{ confirmDeadlineMs: Number.NaN }, 'confirmDeadlineMs: expected a whole number from 100 to 3600000, got NaN'],
])('%o is refused with its range', (options, message) => {
  expect(() => checkOptions({ ...given, ...options })).toThrow(
    expect.objectContaining({ code: 'option_invalid', message }),
  )
})
