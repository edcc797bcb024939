import { hostname } from 'node:os'
import { defineFunction, readSecrets, startWorker } from '@esteira/workflow'
import * as z from 'zod'
import { workerTaskSchema } from './task.ts'

/** A worker with one function that does nothing, until it is told to end. */
const task = workerTaskSchema.parse(JSON.parse(process.argv[2] ?? ''))
const silent = () => {}
const tell = (line: object): void => void process.stderr.write(`${JSON.stringify(line)}\n`)

const worker = await startWorker({
  ...task,
  functions: [defineFunction({ name: task.functionName, config: z.looseObject({}), run: () => undefined })],
  worker: hostname(),
  prefetch: 100,
  graceMs: 1_000,
  secrets: readSecrets({ directory: '/nowhere', variables: new Map() }),
  log: { debug: silent, info: silent, warn: tell, error: tell },
  observe: silent,
  signal: new AbortController().signal,
})
process.once('SIGTERM', () => void worker.stop().then(() => process.exit(0)))
process.stdout.write('ready\n')
