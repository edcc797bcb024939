import { randomBytes, randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { queryable, registerLane } from '@esteira/outbox'
import { createRelay } from '@esteira/outbox/relay'
import { didYouMean, type Log } from '@esteira/service'
import { openOrm } from '../database/open-orm.ts'
import { WorkflowError } from '../errors.ts'
import type { StepFunction } from '../function/define-function.ts'
import { openRun } from '../run/open-run.ts'
import { startWorker } from '../worker/start-worker.ts'
import { isRunOver, readRun, type TestRun } from './read-run.ts'
import { saveSteps, type TestStep } from './save-steps.ts'
import { secretsOf, silent } from './test-function.ts'
import { makeTestDatabase } from './test-database.ts'
import { deleteQueues, expectBroker } from './test-queues.ts'

/** Where a testbed's servers are, and what runs in it. */
export type TestbedOptions = {
  /** A Postgres server, by the address of any database of it. Its user has to be one that may create databases. */
  databaseUrl: string
  /** RabbitMQ, with the virtual host as the path. It may be one that others use. */
  rabbitmqUrl: string
  functions: readonly StepFunction[]
  /** The values of the secrets that configs name. */
  secrets?: Readonly<Record<string, string>>
  /** Hears what the functions log; nobody does unless given. */
  log?: Log
}

/** The real runtime for tests: a worker and its relay, between Postgres and RabbitMQ. */
export type Testbed = {
  /**
   * Carries a payload through steps, each of which leads to the next, and resolves when the run is over, in whichever
   * way. A tenth of a second or so goes by for each step; retries and snoozes take the time that they say.
   *
   * @throws WorkflowError `timed_out`, saying how far it came, after 30 s unless given; `function_invalid` for a step of
   * a function that is not served here.
   */
  run: (
    steps: readonly [TestStep, ...TestStep[]],
    payload?: unknown,
    options?: { timeoutMs?: number },
  ) => Promise<TestRun>
  /** Runs a statement in the testbed's database, for tables of a function with a unit of its own; gives its rows. */
  query: (sql: string, values?: unknown[]) => Promise<unknown[]>
  /** Stops the worker and its relay, and removes the database and the queues. */
  close: () => Promise<void>
}

const laneName = 'testbed'

/** Of delayed messages, so of retries and snoozes: nothing rings when they are due. */
const pollMs = 100

/**
 * Opens a testbed: a database of its own with the tables of Esteira, a worker with the functions, and the relay that
 * carries its messages. Nothing of it meets a neighbour, so test files can run side by side on one server.
 *
 * @throws whatever keeps a server from being used; nothing is left then.
 */
export const openTestbed = async (options: TestbedOptions): Promise<Testbed> => {
  const { rabbitmqUrl, functions, log = silent } = options
  const opened = new AsyncDisposableStack()
  try {
    await expectBroker(rabbitmqUrl)
    const database = await makeTestDatabase(options.databaseUrl)
    opened.defer(database.drop)
    const at = { databaseUrl: database.url, rabbitmqUrl }
    const orm = openOrm({ databaseUrl: database.url, poolSize: 2, applicationName: laneName })
    opened.defer(() => orm.close())
    const lane = await registerLane(queryable(orm.em.fork()), laneName)
    // A queue has its function's name. With more to it no worker that runs elsewhere takes our messages, nor we its.
    const mark = `.${laneName}-${randomBytes(6).toString('hex')}`
    const served = functions.map((fn) => ({ ...fn, name: fn.name + mark }))
    opened.defer(() =>
      deleteQueues(
        rabbitmqUrl,
        served.map(({ name }) => name),
      ),
    )
    const relay = createRelay({ ...at, lane: laneName, pollMs })
    opened.defer(() => relay.stop({ graceMs: 0 }))
    await relay.start()
    const worker = await startWorker({
      ...at,
      functions: served,
      lane: laneName,
      worker: laneName,
      prefetch: 100,
      graceMs: 0,
      secrets: secretsOf(options.secrets ?? {}),
      log,
      observe: () => {},
      signal: new AbortController().signal,
    })
    opened.defer(worker.stop)

    const names = functions.map(({ name }) => name)
    const queueOf = ({ functionName }: TestStep): string => {
      if (names.includes(functionName)) return functionName + mark
      const hint = didYouMean(functionName, names)
      throw new WorkflowError('function_invalid', `the testbed has no function "${functionName}"${hint}`)
    }
    const db = () => queryable(orm.em.fork())
    return {
      run: async (steps, payload = null, { timeoutMs = 30_000 } = {}) => {
        const saved = await saveSteps(orm.em.fork(), steps, queueOf)
        const start = { ...saved, trigger: 'manual' as const, idempotencyKey: randomUUID(), payload }
        const { runId } = await openRun(orm.em.fork(), { ...start, lane, worker: laneName })
        const deadline = performance.now() + timeoutMs
        while (!(await isRunOver(db(), runId))) {
          if (performance.now() > deadline) throw late(await readRun(db(), runId), timeoutMs)
          await pause(20)
        }
        return readRun(db(), runId)
      },
      query: async (sql, values = []) => (await db().query(sql, values)).rows,
      close: () => opened.disposeAsync(),
    }
  } catch (error) {
    await opened.disposeAsync()
    throw error
  }
}

const late = ({ jobs }: TestRun, timeoutMs: number): WorkflowError => {
  const open = jobs.filter(({ status }) => status === 'queued' || status === 'running' || status === 'staged')
  const told = open.slice(0, 5).map(({ step, status, error }) => {
    const last = error === null ? '' : ` after ${error.code}: ${error.message}`
    return `\n  a job of step "${step}" is ${status}${last}`
  })
  const message = `the run was not over within ${timeoutMs} ms; ${open.length} of its ${jobs.length} jobs are open${told.join('')}`
  return new WorkflowError('timed_out', message)
}
