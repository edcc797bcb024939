import { saveLead } from './examples/save-lead.ts'
import { readSecrets, startWorker } from '../src/index.ts'
import { silentLog } from './engine.ts'

/** A worker as a process of its own, to be killed, with the function of the README. Arguments: as of `split-worker.ts`. */
const [databaseUrl = '', rabbitmqUrl = '', lane = ''] = process.argv.slice(2)

await startWorker({
  databaseUrl,
  rabbitmqUrl,
  lane,
  worker: 'to be killed',
  prefetch: 10,
  graceMs: 5_000,
  secrets: readSecrets({ directory: '/nowhere', variables: new Map() }),
  log: silentLog,
  signal: new AbortController().signal,
  functions: [saveLead],
  observe: (event) => process.stdout.write(`${event.kind}\n`),
})
process.stdout.write('started\n')
