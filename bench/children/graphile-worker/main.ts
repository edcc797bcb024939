import { Logger, makeWorkerUtils, run, type WorkerUtils } from 'graphile-worker'
import { jobPayload, jobTaskSchema, noOpName, say, sharedMs, startJobClock, untilGo } from '../job-messages.ts'

/**
 * graphile-worker with a task that does nothing. A number of jobs is a backlog, worked off in its fastest mode: a queue
 * of its own in memory, and completions in batches. Without one, jobs come one by one and it runs as it is by itself.
 */
const { databaseUrl, jobs, inHand } = jobTaskSchema.parse(JSON.parse(process.argv[2] ?? ''))
const logger = new Logger(() => () => {})
const concurrency = 24
const finished = Promise.withResolvers<void>()
const usual = { connectionString: databaseUrl, logger, concurrency, noHandleSignals: true }

const fill = async (utils: WorkerUtils, count: number): Promise<void> => {
  const atATime = 1_000
  for (let first = 0; first < count; first += atATime) {
    const specs = Array.from({ length: Math.min(atATime, count - first) }, (_, index) => ({
      identifier: noOpName,
      payload: jobPayload(first + index),
    }))
    await utils.addJobs(specs)
  }
}

const utils = await makeWorkerUtils({ connectionString: databaseUrl, logger })
await utils.migrate()
if (jobs === null) {
  process.once('SIGTERM', finished.resolve)
  const taskList = { [noOpName]: async () => say({ kind: 'started', atMs: sharedMs() }) }
  const runner = await run({ ...usual, taskList })
  say({ kind: 'ready' })
  await finished.promise
  await runner.stop()
} else {
  await fill(utils, jobs)
  await untilGo()
  const done = startJobClock()
  let ran = 0
  const taskList = {
    [noOpName]: async () => {
      ran += 1
      if (ran === jobs) finished.resolve()
    },
  }
  const runner = await run({
    ...usual,
    taskList,
    pollInterval: 100,
    preset: { worker: { localQueue: { size: inHand }, completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
  })
  await finished.promise
  // The last batches of completions are written by then, as all of ours are.
  await runner.stop()
  done(ran)
}
await utils.release()
