import { hostname } from 'node:os'
import { defineFunction, page, readSecrets, startWorker } from '@esteira/workflow'
import * as z from 'zod'
import { recordProfile } from '../../profile/record-profile.ts'
import { fanOutTaskSchema } from './task.ts'

/** A worker with one function that gives as many items as its payload says, until it is told to end. */
const { kind, profileTo, ...task } = fanOutTaskSchema.parse(JSON.parse(process.argv[2] ?? ''))
const silent = () => {}
const tell = (line: object): void => void process.stderr.write(`${JSON.stringify(line)}\n`)

const input = z.object({ items: z.int() })
const pageItems = 500

/** About as large as a lead. */
const itemAt = (item: number) => ({
  item,
  name: `Contact number ${item} of the segmentation`,
  email: `contact.${item}@example.com`,
  createdAt: '2026-01-01T00:00:00.000-03:00',
})

const inPages = defineFunction({
  name: task.functionName,
  config: z.looseObject({}),
  input,
  cursor: z.int(),
  run: async function* ({ payload, cursor }) {
    for (let first = cursor ?? 0; first < payload.items; first += pageItems) {
      const count = Math.min(pageItems, payload.items - first)
      const items = Array.from({ length: count }, (_, index) => itemAt(first + index))
      yield page(items, first + count)
    }
  },
})

const oneByOne = defineFunction({
  name: task.functionName,
  config: z.looseObject({}),
  input,
  run: async function* ({ payload }) {
    for (let item = 0; item < payload.items; item += 1) yield itemAt(item)
  },
})

const worker = await startWorker({
  ...task,
  functions: [kind === 'pages' ? inPages : oneByOne],
  worker: hostname(),
  prefetch: 10,
  graceMs: 1_000,
  secrets: readSecrets({ directory: '/nowhere', variables: new Map() }),
  log: { debug: silent, info: silent, warn: tell, error: tell },
  observe: (event) => {
    if (event.kind !== 'job.written') tell(event)
  },
  signal: new AbortController().signal,
})
const stopProfile = profileTo === null ? silent : recordProfile(profileTo)
process.once('SIGTERM', () => {
  stopProfile()
  void worker.stop().then(() => process.exit(0))
})
process.stdout.write('ready\n')
