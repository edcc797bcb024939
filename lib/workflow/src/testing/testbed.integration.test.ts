import { createVhost, emptyDatabase, openBroker, runOn } from '@esteira/test/support'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import * as z from 'zod'
import { defineFunction, type FunctionContext } from '../function/define-function.ts'
import { retry } from '../function/outcome.ts'
import { openTestbed, type TestbedOptions } from './testbed.ts'

let servers: { databaseUrl: string; rabbitmqUrl: string }
let drop: () => Promise<unknown>

beforeAll(async () => {
  const [database, vhost] = await Promise.all([emptyDatabase(), createVhost()])
  servers = { databaseUrl: database.url, rabbitmqUrl: vhost.url }
  drop = () => Promise.all([database.drop(), vhost.drop()])
})
afterAll(() => drop())

const open = async (options: Omit<TestbedOptions, 'databaseUrl' | 'rabbitmqUrl'>) => {
  const testbed = await openTestbed({ ...servers, ...options })
  onTestFinished(testbed.close)
  return testbed
}

type Context = FunctionContext<{ token?: string | undefined }, unknown>

const functionOf = (name: string, run: (context: Context) => unknown) =>
  defineFunction({ name, config: z.object({ token: z.string().optional() }), run })

const split = functionOf('Text.split', ({ payload }) => String(payload).split(' '))

const databases = async () =>
  (await runOn(servers.databaseUrl, `select from pg_database where datname like 'esteira_test_%'`)).length

test('a payload goes through the steps, and the run is told with its jobs in their order', async () => {
  const shout = functionOf('Text.shout', ({ payload, config, attempt }) =>
    attempt === 1 ? retry('not at once') : `${String(payload)}${(config.token ?? '').length}`,
  )
  const testbed = await open({ functions: [split, shout], secrets: { tone: 'loud' } })
  const run = await testbed.run(
    [
      { functionName: 'Text.split', outputType: 'multiple' },
      { functionName: 'Text.shout', config: { token: { $secret: 'tone' } }, retry: { delayMs: 1 } },
    ],
    'a b c',
  )
  expect(run).toMatchObject({
    status: 'succeeded',
    jobs: [
      { step: 'Text.split', status: 'succeeded', payload: 'a b c', attempt: 1 },
      { step: 'Text.shout', status: 'succeeded', payload: 'a', attempt: 2, error: null },
      { step: 'Text.shout', status: 'succeeded', payload: 'b', attempt: 2, error: null },
      { step: 'Text.shout', status: 'succeeded', payload: 'c', attempt: 2, error: null },
    ],
  })
})

test('two testbeds with the same function on one virtual host do not take each other their jobs', async () => {
  const by = (answer: string) => open({ functions: [functionOf('Text.answer', () => answer)] })
  const [one, other] = await Promise.all([by('one'), by('other')])
  const steps = [{ functionName: 'Text.answer', outputType: 'single' as const }] as const
  // A queue that both consumed would give its messages to them in turn.
  for (const [testbed, answer] of [
    [one, 'one'],
    [one, 'one'],
    [other, 'other'],
    [other, 'other'],
  ] as const) {
    expect((await testbed.run(steps)).jobs).toMatchObject([{ output: answer }])
  }
})

test('a run that does not end is told with where it stands', async () => {
  const testbed = await open({ functions: [functionOf('Text.wait', () => new Promise(() => undefined))] })
  const running = testbed.run([{ functionName: 'Text.wait', name: 'wait' }], null, { timeoutMs: 300 })
  await expect(running).rejects.toThrow(
    /not over within 300 ms; 1 of its 1 jobs are open\n {2}a job of step "wait" is /,
  )
})

test('a step of a function that is not there is told, with the one that is probably meant', async () => {
  const testbed = await open({ functions: [split] })
  await expect(testbed.run([{ functionName: 'Text.splt' }])).rejects.toThrow(
    'the testbed has no function "Text.splt", did you mean "Text.split"?',
  )
})

test('nothing of a testbed is left when it is closed, or could not be opened', async () => {
  const before = await databases()
  const testbed = await openTestbed({ ...servers, functions: [split] })
  const rows = await testbed.query(`select name from workflow_function`)
  const queue = z.tuple([z.object({ name: z.string() })]).parse(rows)[0].name
  const broker = await openBroker(servers.rabbitmqUrl)
  onTestFinished(broker.close)
  expect(await broker.count(queue)).toBe(0)
  expect(await databases()).toBe(before + 1)
  await testbed.close()
  expect(await databases()).toBe(before)
  expect(await broker.look(queue)).toEqual([])
  await expect(broker.count(queue)).rejects.toThrow('NOT_FOUND')

  const rabbitmqUrl = 'amqp://app:s3cret@127.0.0.1:9/app'
  await expect(openTestbed({ ...servers, rabbitmqUrl, functions: [split] })).rejects.toThrow(
    /^RabbitMQ at amqp:\/\/app@127.0.0.1:9\/app: .*ECONNREFUSED/,
  )
  expect(await databases()).toBe(before)
})
