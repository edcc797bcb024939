import { runOn, startProxy, waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { hearUncaught } from '../../test/hear-uncaught.ts'
import { endless, keepFilled } from '../../test/stops.ts'
import { throwIn } from '../../test/throw-in.ts'
import { database, lane, useLane, vhost } from '../../test/use-lane.ts'

useLane()

const patient = { deadlineMs: 30_000 }

/** Begins with a relay that is at work, and a way to RabbitMQ that may be cut. */
const startRelay = async () => {
  const proxy = await startProxy(vhost.url)
  onTestFinished(proxy.stop)
  const relay = lane.relay({ rabbitmqUrl: proxy.url, pollMs: 100 })
  await relay.start()
  await waitFor(() => lane.isAsleep(), patient)
  return { proxy, relay }
}

const sessions = async (): Promise<number | null> => {
  const { rowCount } = await lane.db.query('select from pg_stat_activity where application_name like $1', [
    `outbox % ${lane.name}`,
  ])
  return rowCount
}

const endSession = (of: 'relay' | 'bell') =>
  runOn(
    database.url,
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'outbox ${of} ${lane.name}'`,
  )

test.each<[string, string, object, string]>([
  ['in what a session begins with', 'serve.ts', AbortSignal, 'any'],
  ['in what it begins with later', 'serve.ts', Math, 'random'],
  ['in the question who else is there', 'hand-over.ts', AbortSignal, 'any'],
])(
  'a fault %s ends a relay that starts: it is refused its start, and has no session any more',
  async (_, place, on, name) => {
    const uncaught = hearUncaught()
    const relay = lane.relay()
    const fault = throwIn(place, on, name)
    await expect(relay.start()).rejects.toBe(fault)
    expect(relay.state()).toMatchObject({ database: 'down', broker: 'down' })
    await waitFor(async () => (await sessions()) === 0, patient)
    await expect(relay.stop({ graceMs: 0 })).rejects.toBe(fault)
    expect(uncaught).toEqual([])
  },
)

type Started = Awaited<ReturnType<typeof startRelay>>

test.each<[string, string, object, string, (started: Started) => unknown]>([
  ['in the look at lanes that sleep', 'lookout.ts', Math, 'random', () => {}],
  ['in the turns of a session', 'serve.ts', Math, 'random', () => {}],
  ['in the watch for silence', 'watch-silence.ts', Math, 'min', () => {}],
  ['in what hears the bells', 'listener.ts', Math, 'random', () => endSession('bell')],
  ['in what keeps the link up', 'keep-linked.ts', Math, 'random', ({ proxy }) => proxy.cut()],
  [
    'in what becomes of former sessions',
    'at forgetGone ',
    AbortSignal,
    'any',
    async ({ relay }) => {
      for (let lost = 1; lost <= 4; lost += 1) {
        await waitFor(() => relay.saw('relay.owned').length === lost, patient)
        await endSession('relay')
      }
    },
  ],
])('a fault %s ends a relay that runs: it is told once, and all is closed', async (_, place, on, name, bring) => {
  const uncaught = hearUncaught()
  const started = await startRelay()
  const { relay } = started
  const fault = throwIn(place, on, name)
  await bring(started)
  await waitFor(() => uncaught.length > 0, patient)
  expect(relay.state()).toMatchObject({ database: 'down', broker: 'down' })
  await waitFor(async () => (await sessions()) === 0, patient)
  await expect(relay.stop({ graceMs: 0 })).rejects.toBe(fault)
  expect(uncaught).toEqual([fault])
})

test('a fault in the wait of a stop ends that at once: all is closed, whatever the lanes hold', async () => {
  const uncaught = hearUncaught()
  const { relay } = await startRelay()
  await keepFilled(lane.id)
  const fault = throwIn('at stop ', Promise, 'withResolvers')
  await expect(relay.stop({ graceMs: endless })).rejects.toBe(fault)
  expect(relay.state()).toMatchObject({ database: 'down', broker: 'down' })
  await waitFor(async () => (await sessions()) === 0, patient)
  expect(uncaught).toEqual([])
})
