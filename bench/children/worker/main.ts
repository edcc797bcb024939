import { createLog } from '@esteira/service'
import { defineFunction, readSecrets, startWorker } from '@esteira/workflow'
import * as z from 'zod'
import { recordProfile } from '../../profile/record-profile.ts'
import { jobTaskSchema, noOpName, say, sharedMs, startJobClock, untilGo } from '../job-messages.ts'

/** Our worker in a process of its own, with a function that does nothing. The clock starts when it is told to go. */
const task = jobTaskSchema.parse(JSON.parse(process.argv[2] ?? ''))
const { jobs } = task
const finished = Promise.withResolvers<void>()
let written = 0

const worker = await startWorker({
  ...task,
  worker: 'bench',
  prefetch: task.inHand,
  graceMs: 5_000,
  secrets: readSecrets({ directory: '/nowhere', variables: new Map() }),
  log: createLog('bench', 'error'),
  signal: new AbortController().signal,
  functions: [
    defineFunction({
      name: noOpName,
      config: z.object({}),
      run: () => {
        if (jobs === null) say({ kind: 'started', atMs: sharedMs() })
      },
    }),
  ],
  observe: ({ kind, ...fields }) => {
    if (kind !== 'job.written') return void process.stderr.write(`${JSON.stringify({ kind, ...fields })}\n`)
    written += 1
    if (written === jobs) finished.resolve()
  },
})
if (jobs === null) {
  process.once('SIGTERM', finished.resolve)
  say({ kind: 'ready' })
  await finished.promise
} else {
  await untilGo()
  const done = startJobClock()
  const stopProfile = task.profileTo === null ? () => {} : recordProfile(task.profileTo)
  await finished.promise
  stopProfile()
  done(written)
}
await worker.stop()
