import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  certificateAuthority,
  cloneDatabase,
  compileCache,
  emptyDatabase,
  listingPackages,
  runOn,
  startProxy,
  startTlsFront,
  waitFor,
} from '@esteira/test/support'
import { afterEach, expect, test, vi } from 'vitest'
import * as z from 'zod'
import { podJson } from '../test/pod-template.ts'

const main = fileURLToPath(new URL('main.ts', import.meta.url))
const cronProgram = fileURLToPath(new URL('../../workers/cron-job/src/main.ts', import.meta.url))

const token = 's'.repeat(32)

// A program takes a second to start on a machine that does nothing else.
vi.setConfig({ testTimeout: 90_000 })

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

const database = async (make: typeof cloneDatabase) => {
  const made = await make()
  cleanups.push(made.drop)
  return made.url
}

const logLine = z.looseObject({ event: z.string() })

const launch = (env: Record<string, string>) => {
  const child = spawn(process.execPath, [main], {
    env: { ...compileCache(), ESTEIRA_ADMIN_TOKEN: token, ESTEIRA_HTTP_PORT: '0', ESTEIRA_CRON: 'off', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  cleanups.push(() => ended(child, 'SIGKILL'))
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', (data) => (output.stdout += String(data)))
  child.stderr.on('data', (data) => (output.stderr += String(data)))
  const lines = () =>
    output.stdout
      .split('\n')
      .slice(0, -1)
      .map((line) => logLine.parse(JSON.parse(line)))
  const lineOf = (event: string) =>
    waitFor(() => lines().find((line) => line.event === event), { deadlineMs: 60_000, describe: () => output })
  return { child, output, lines, lineOf }
}

const ended = async (child: ChildProcess, signal?: NodeJS.Signals): Promise<number | null> => {
  if (child.exitCode === null && child.signalCode === null) {
    if (signal) child.kill(signal)
    await once(child, 'exit')
  }
  return child.exitCode
}

test('a Postgres that is reached by TLS alone is migrated and served from like any other', async () => {
  const front = await startTlsFront(await database(emptyDatabase))
  cleanups.push(front.stop)
  const { lines, lineOf } = launch({
    DATABASE_URL: `${front.url}?sslmode=verify-full&sslrootcert=${certificateAuthority}`,
  })
  await lineOf('ready')
  expect(lines().map(({ event }) => event)).toContain('migration.applied')
  expect(front.secured()).toBeGreaterThan(0)
})

test('on an empty database it migrates, serves, and ends with 0 when it is asked to', async () => {
  const { child, lines, lineOf } = launch({ DATABASE_URL: await database(emptyDatabase) })
  const { url } = await lineOf('ready')
  expect(lines().map(({ event }) => event)).toContain('migration.applied')
  const functions = await fetch(`${String(url)}/v1/functions`, { headers: { authorization: `Bearer ${token}` } })
  expect(await functions.json()).toMatchObject({ items: [{ name: 'CronJob' }] })
  expect((await fetch(`${String(url)}/readyz`)).status).toBe(200)
  expect((await fetch(`${String(url)}/metrics`)).status).toBe(200)
  expect(await ended(child, 'SIGTERM')).toBe(0)
})

test('jobs that are found to be lost are sent again, told, and counted at /metrics', async () => {
  const databaseUrl = await database(cloneDatabase)
  await runOn(databaseUrl, ...probeOfLostJob)
  const { lineOf } = launch({ DATABASE_URL: databaseUrl })
  const { url } = await lineOf('ready')
  expect(await lineOf('jobs.lost')).toMatchObject({ functionName: 'Work', jobs: 1 })
  const metrics = await (await fetch(`${String(url)}/metrics`)).text()
  expect(metrics).toContain('esteira_jobs_lost_total{function="Work"} 1\n')
})

/** A run of one job without a message, which two probes have passed by. */
const probeOfLostJob = [
  `insert into workflow (id, name, automation_type, version) values (gen_random_uuid(), 'lost', 'step', 1)`,
  `insert into workflow_step (id, version, workflow_id, position, name, function_name)
   select gen_random_uuid(), 1, id, 0, 'work', 'Work' from workflow`,
  `insert into workflow_run (id, workflow_id, version, trigger, idempotency_key, status)
   select gen_random_uuid(), id, 1, 'manual', 'once', 'running' from workflow`,
  `insert into workflow_run_step (run_id, step_id, belt)
   select run.id, step.id, 1 from workflow_run run, workflow_step step`,
  `insert into workflow_job (id, run_id, step_id, status, traceparent)
   select gen_random_uuid(), run_id, step_id, 'queued', '' from workflow_run_step`,
  `insert into workflow_probe (function_name, id, round, passed_at, seen_at)
   values ('Work', gen_random_uuid(), 2, now() - interval '2 hours', now() - interval '1 hour')`,
  `insert into workflow_probed_job (function_name, job_id, seq) select 'Work', id, seq from workflow_job`,
]

test('two that start at once on an empty database both come up', async () => {
  const url = await database(emptyDatabase)
  const both = [launch({ DATABASE_URL: url }), launch({ DATABASE_URL: url })]
  await Promise.all(both.map(({ lineOf }) => lineOf('ready')))
  const applied = both.flatMap(({ lines }) => lines().filter(({ event }) => event === 'migration.applied'))
  expect(new Set(applied.map(({ file }) => file)).size).toBe(applied.length)
})

test('a database that is not there yet is told in one line a try, without its password, and then used', async () => {
  const proxy = await startProxy(await database(cloneDatabase))
  cleanups.push(proxy.stop)
  proxy.cut()
  const { host, password } = new URL(proxy.url)
  expect(password).not.toBe('')
  const { child, output, lineOf } = launch({ DATABASE_URL: proxy.url })
  const line = await lineOf('service.unavailable')
  expect(line).toMatchObject({ service: 'Postgres', address: expect.stringContaining(host), attempt: 1 })
  proxy.resume()
  await lineOf('ready')
  expect(output.stdout).not.toContain(password)
  expect(output.stderr).toBe('')
  expect(await ended(child, 'SIGTERM')).toBe(0)
})

test('sessions that lost what they are opened with, on a database that has something else, are told, and used when it is right', async () => {
  const url = await database(cloneDatabase)
  const name = new URL(url).pathname.slice(1)
  await runOn(url, `alter database ${name} set default_transaction_isolation = serializable`)
  const started = launch({ DATABASE_URL: `${url}?options=${encodeURIComponent('-c work_mem=4MB')}` })
  expect(await started.lineOf('service.unavailable')).toMatchObject({
    reason: expect.stringContaining('default_transaction_isolation is "serializable", not "read committed"'),
  })
  await runOn(url, `alter database ${name} reset default_transaction_isolation`)
  await started.lineOf('ready')
})

test('a database that falls while it is migrated is told, and migrated when it is back', async () => {
  const url = await database(emptyDatabase)
  const turn = `select pg_advisory_xact_lock(hashtextextended('esteira migrations', 0))`
  const others = `from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`
  const holding = runOn(url, 'begin', turn, 'select pg_sleep(60)').catch(String)
  const { lineOf } = launch({ DATABASE_URL: url })
  await waitFor(async () => (await runOn(url, `select ${others} and wait_event = 'advisory'`)).length > 0, {
    deadlineMs: 60_000,
  })
  await runOn(url, `select pg_terminate_backend(pid) ${others}`)
  expect(await holding).toMatch(/terminat/)
  expect(await lineOf('service.unavailable')).toMatchObject({ service: 'Postgres' })
  await lineOf('ready')
})

test('a start that waits for its database ends when it is asked to', async () => {
  const { child, lineOf } = launch({ DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' })
  await lineOf('service.unavailable')
  expect(await ended(child, 'SIGTERM')).toBe(0)
})

test('a port that is taken is one line', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  cleanups.push(async () => taken.close())
  const port = z.object({ port: z.int() }).parse(taken.address()).port
  const { child, lines } = launch({ DATABASE_URL: await database(cloneDatabase), ESTEIRA_HTTP_PORT: String(port) })
  expect(await ended(child)).toBe(1)
  expect(lines().at(-1)).toMatchObject({
    event: 'failed',
    reason: `127.0.0.1:${port} is in use; free it or set ESTEIRA_HTTP_PORT`,
  })
})

test('faults of the environment are one line each', async () => {
  const { child, output } = launch({ ESTEIRA_CRON: 'local', ESTEIRA_HTTP_PROT: '1', ESTEIRA_HTTP_PORT: '99999' })
  expect(await ended(child)).toBe(2)
  expect(output.stdout).toBe('')
  const faults = output.stderr.trim().split('\n')
  expect(faults).toHaveLength(5)
  expect(output.stderr).toContain('ESTEIRA_HTTP_PROT is not a variable of Esteira, did you mean "ESTEIRA_HTTP_PORT"?')
})

test('a cron program that is not there is told before anything else begins', async () => {
  const { child, lines } = launch({
    DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none',
    ESTEIRA_CRON: 'local',
    ESTEIRA_CRON_PROGRAM: '/nowhere/main.ts',
    ESTEIRA_CRON_LANE: 'cron-job',
  })
  expect(await ended(child)).toBe(1)
  expect(lines().at(-1)).toMatchObject({ reason: 'ESTEIRA_CRON_PROGRAM: there is no file /nowhere/main.ts' })
})

/** Files as a pod has them mounted, with the address of an API server that nobody can reach. */
const kubernetes = () => {
  const folder = mkdtempSync(join(tmpdir(), 'control-plane-'))
  cleanups.push(async () => rmSync(folder, { recursive: true }))
  const write = (name: string, content: object): string => {
    writeFileSync(join(folder, name), JSON.stringify(content))
    return join(folder, name)
  }
  return {
    ESTEIRA_CRON: 'kubernetes',
    ESTEIRA_CRON_ANCHOR: 'esteira-anchor',
    ESTEIRA_CRON_POD_TEMPLATE: write('pod.json', podJson),
    ESTEIRA_CRON_POD_TEMPLATE_SHA256: createHash('sha256').update(JSON.stringify(podJson)).digest('hex'),
    ESTEIRA_KUBECONFIG: write('kubeconfig', {
      clusters: [{ name: 'away', cluster: { server: 'https://127.0.0.1:1' } }],
      users: [{ name: 'nobody', user: { token: 'none' } }],
      contexts: [{ name: 'away', context: { cluster: 'away', user: 'nobody', namespace: 'flows' } }],
      'current-context': 'away',
    }),
  }
}

test('a cluster that is away keeps no start back, and is told where something waits for it', async () => {
  const { child, lineOf } = launch({ DATABASE_URL: await database(cloneDatabase), ...kubernetes(), ...listingPackages })
  const { url, cron } = await lineOf('ready')
  expect(cron).toBe('kubernetes')
  expect(await lineOf('lead.taken')).toBeDefined()
  await saveTick(String(url))
  expect(await lineOf('cluster.unavailable')).toMatchObject({ reason: expect.stringContaining('ECONNREFUSED') })
  const shown = async () => {
    const answer = await fetch(`${String(url)}/v1/cron-jobs`, { headers: { authorization: `Bearer ${token}` } })
    return JSON.stringify(await answer.json())
  }
  await waitFor(async () => (await shown()).includes('"state":"unreachable"'), { describe: shown })
  expect(await ended(child, 'SIGTERM')).toBe(0)
  expect((await lineOf('loaded')).packages).toContain('@kubernetes/client-node')
})

test('without a cluster nothing of Kubernetes is loaded', async () => {
  const { child, lineOf } = launch({
    DATABASE_URL: await database(cloneDatabase),
    ESTEIRA_CRON: 'local',
    ESTEIRA_CRON_PROGRAM: cronProgram,
    ESTEIRA_CRON_LANE: 'cron-job',
    ...listingPackages,
  })
  await lineOf('ready')
  expect(await ended(child, 'SIGTERM')).toBe(0)
  const { packages } = await lineOf('loaded')
  expect(packages).toContain('hono')
  expect(packages).not.toContain('@kubernetes/client-node')
  expect(packages).not.toContain('undici')
})

test('a template that is none, and a kubeconfig that is none, are told before anything else begins', async () => {
  const away = { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' }
  const noTemplate = launch({ ...away, ...kubernetes(), ESTEIRA_CRON_POD_TEMPLATE: '/nowhere/pod.json' })
  const noConfig = launch({ ...away, ...kubernetes(), ESTEIRA_KUBECONFIG: '/nowhere/kubeconfig' })
  expect([await ended(noTemplate.child), await ended(noConfig.child)]).toEqual([1, 1])
  const reasonOf = ({ lines }: ReturnType<typeof launch>) => lines().at(-1)?.reason
  expect(reasonOf(noTemplate)).toMatch(/^ESTEIRA_CRON_POD_TEMPLATE: \/nowhere\/pod.json cannot be read: ENOENT/)
  expect(reasonOf(noConfig)).toMatch(/^ESTEIRA_KUBECONFIG: \/nowhere\/kubeconfig: ENOENT/)
})

test('a request that is under way when it is asked to stop still gets its answer', async () => {
  const databaseUrl = await database(cloneDatabase)
  const proxy = await startProxy(databaseUrl)
  cleanups.push(proxy.stop)
  const { child, lineOf } = launch({ DATABASE_URL: proxy.url })
  const { url } = await lineOf('ready')
  proxy.pause()
  const answer = fetch(`${String(url)}/v1/workflows`, { headers: { authorization: `Bearer ${token}` } })
  await waitFor(() => fetch(`${String(url)}/healthz`).then(({ ok }) => ok))
  child.kill('SIGTERM')
  proxy.resume()
  expect((await answer).status).toBe(200)
  expect(await ended(child)).toBe(0)
})

test('a save by the API makes the scheduler beside it fire at the next minute', { timeout: 180_000 }, async () => {
  const databaseUrl = await database(cloneDatabase)
  const { child, lineOf } = launch({
    DATABASE_URL: databaseUrl,
    ESTEIRA_CRON: 'local',
    ESTEIRA_CRON_PROGRAM: cronProgram,
    ESTEIRA_CRON_LANE: 'cron-job',
  })
  const { url } = await lineOf('ready')
  await saveTick(String(url))
  await waitFor(() => lineOf('tick.fired'), { deadlineMs: 70_000, describe: 'the tick' })
  expect(await ended(child, 'SIGTERM')).toBe(0)
})

/** Saves a workflow that ticks every minute. */
const saveTick = async (url: string): Promise<void> => {
  const saved = await fetch(`${url}/v1/workflows`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      name: 'tick',
      steps: [{ name: 'every minute', functionName: 'CronJob', config: { schedule: '* * * * *' } }],
    }),
  })
  expect(saved.status).toBe(201)
}
