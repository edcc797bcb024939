import { expect, test } from 'vitest'
import { OutboxError, reasonOf, withoutPassword } from './errors.ts'

test('an address is shown without its password and its query', () => {
  expect(withoutPassword('postgres://app:s3cret@db.internal:5432/app?password=s3cret')).toBe(
    'postgres://app@db.internal:5432/app',
  )
  expect(withoutPassword('amqp://rabbit:5672/orders')).toBe('amqp://rabbit:5672/orders')
  expect(withoutPassword('/var/run/postgresql app')).toBe('/var/run/postgresql app')
  expect(withoutPassword('postgres://app:s3cret@/app?host=/var/run/postgresql')).toBe('postgres:///app')
  expect(withoutPassword('socket://app:s3cret@/var/run/postgresql?db=app')).toBe('socket:///var/run/postgresql')
})

test('the reason of a refusal by several addresses is all of them', () => {
  const refused = new AggregateError([
    new Error('connect ECONNREFUSED ::1:5432'),
    new Error('connect ECONNREFUSED 127.0.0.1:5432'),
  ])
  expect(reasonOf(refused)).toBe('connect ECONNREFUSED ::1:5432; connect ECONNREFUSED 127.0.0.1:5432')
})

const throwing = (member: string): Error =>
  Object.defineProperty(new AggregateError([], ''), member, {
    get: () => {
      throw new Error('lost')
    },
  })

const revoked = (): object => {
  const { proxy, revoke } = Proxy.revocable(new Error('lost'), {})
  revoke()
  return proxy
}

test.each<[string, unknown]>([
  ['whose message throws', throwing('message')],
  ['whose errors throw', throwing('errors')],
  ['that is a revoked proxy', revoked()],
  ['that holds one', new AggregateError([revoked()], '')],
  ['without a text', Object.create(null)],
])('an error %s has a reason as well', (_, error) => {
  expect(reasonOf(error)).toBe('object')
})

test('an error keeps its code and its cause', () => {
  const cause = new Error('socket hang up')
  expect(new OutboxError('broker_lost', 'the link fell', { cause })).toMatchObject({ code: 'broker_lost', cause })
})
