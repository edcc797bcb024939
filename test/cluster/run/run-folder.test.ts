import { existsSync, mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openRegistry, sight, startProcess } from '@esteira/dev/processes'
import { waitFor } from '@esteira/test/support'
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { clearDeadRuns } from './clear-dead-runs.ts'
import { openRunFolder } from './run-folder.ts'

let runs: string

beforeEach(() => {
  runs = realpathSync(mkdtempSync(join(tmpdir(), 'esteira-runs-')))
})

afterEach(() => rmSync(runs, { recursive: true }))

/** Starts a run that holds a process, in a process of its own. */
const startRun = async () => {
  const log = mkdtempSync(join(tmpdir(), 'esteira-run-log-'))
  const run = startProcess({
    name: 'run',
    script: join(import.meta.dirname, 'fixtures/hold-run/main.ts'),
    env: { RUNS: runs },
    inherit: {},
    logFile: join(log, 'run.log'),
    registry: openRegistry(join(log, 'processes.json'), log),
    observe: () => undefined,
    restart: false,
  })
  const { folder, undertaker, pid } = z
    .object({ folder: z.string(), undertaker: z.number(), pid: z.number() })
    .parse(await run.ready)
  onTestFinished(() => rmSync(log, { recursive: true }))
  return { run, folder, undertaker, pid }
}

test('what a run started is ended when the run is killed, and its folder is gone', async () => {
  const { run, folder, undertaker, pid } = await startRun()
  expect(sight(pid)).toBeDefined()
  run.kill('SIGKILL')
  await waitFor(() => sight(pid) === undefined && !existsSync(folder), {
    deadlineMs: 30_000,
    describe: 'the end of what was started',
  })
  await waitFor(() => sight(undertaker) === undefined, { deadlineMs: 30_000, describe: 'the end of who ended it' })
  expect(readdirSync(runs)).toEqual([])
}, 60_000)

test('what nobody was left to end is ended by the next run', async () => {
  const { run, folder, undertaker, pid } = await startRun()
  process.kill(undertaker, 'SIGKILL')
  run.kill('SIGKILL')
  await run.exited
  expect(sight(pid)).toBeDefined()
  const next = await openRunFolder(runs)
  expect([sight(pid), existsSync(folder)]).toEqual([undefined, false])
  await next.release()
  expect(readdirSync(runs)).toEqual([])
}, 60_000)

test('a run that is alive is left alone', async () => {
  const run = await openRunFolder(runs)
  await clearDeadRuns(runs)
  expect(existsSync(run.path)).toBe(true)
  await run.release()
}, 60_000)
