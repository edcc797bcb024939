import { fileURLToPath } from 'node:url'
import { StackError, startStack } from '@esteira/dev/stack'
import { bundleRelay } from '@esteira/sidecar/bundle'
import { benchBacklog } from './backlog.ts'
import { benchBell } from './bell.ts'
import { benchDatabaseQuery } from './database-query.ts'
import { benchFair } from './fair.ts'
import { benchFanOut } from './fan-out.ts'
import { benchIdle } from './idle.ts'
import { benchJobLatency } from './job-latency.ts'
import { benchJobs } from './jobs.ts'
import { benchLeads } from './leads.ts'
import { benchLatency } from './latency.ts'
import { type BenchName, type BenchOptions, readOptions, usage } from './options.ts'
import { benchMixed } from './mixed.ts'
import { benchOneRun } from './one-run.ts'
import { benchPinned } from './pinned.ts'
import { benchRelay } from './relay.ts'
import type { Report } from './report/verdict.ts'
import { openPlace, type Place } from './services/open-place.ts'
import { relayProgram } from './services/start-sidecar.ts'
import { benchTakeover } from './takeover.ts'
import { benchTick } from './tick.ts'
import { benchTraced } from './traced.ts'

const benches: Record<BenchName, (place: Place, options: BenchOptions) => Promise<Report>> = {
  relay: benchRelay,
  mixed: benchMixed,
  bell: benchBell,
  pinned: benchPinned,
  latency: benchLatency,
  idle: benchIdle,
  takeover: benchTakeover,
  backlog: benchBacklog,
  fair: benchFair,
  'fan-out': benchFanOut,
  jobs: benchJobs,
  leads: benchLeads,
  traced: benchTraced,
  'database-query': benchDatabaseQuery,
  'one-run': benchOneRun,
  'job-latency': benchJobLatency,
  tick: benchTick,
}

const write = (text: string): void => void process.stdout.write(text)

const run = async (names: readonly BenchName[], options: BenchOptions): Promise<void> => {
  // Data of its own, and every setting as it comes: a commit is on disk, on both sides of every comparison.
  const stack = await startStack({
    dataDir: fileURLToPath(new URL('../.esteira/bench', import.meta.url)),
    env: process.env,
    databaseUrl: process.env['DATABASE_URL'],
    rabbitmqUrl: process.env['RABBITMQ_URL'],
  })
  try {
    await bundleRelay(relayProgram)
    for (const name of names) {
      const place = await openPlace(stack, name)
      try {
        const { table, verdict } = await benches[name](place, options)
        write(`\n${table}${verdict.held ? '' : `\n${name}: the number to hold was not reached.\n`}\n`)
        write(`${JSON.stringify({ bench: name, ...verdict })}\n`)
      } finally {
        await place.close()
      }
    }
  } finally {
    await stack.stop()
  }
}

const asked = readOptions(process.argv.slice(2))
if (asked.ok) {
  try {
    await run(asked.names, asked.options)
  } catch (error) {
    if (!(error instanceof StackError)) throw error
    process.stderr.write(`${error.message}\n`)
    process.exitCode = 1
  }
} else {
  process.stderr.write(`${asked.problems.join('\n')}\n\n${usage}`)
  process.exitCode = 2
}
