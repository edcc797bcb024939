import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import {
  createHouseApi,
  isAlive,
  npmStart,
  type NpmStart,
  runningIn,
  runNpmStart,
  runOn,
  serversOfRun,
  summaryOf,
  waitFor,
} from '@esteira/test/support'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'

const folder = mkdtempSync(join(tmpdir(), 'esteira-start-'))
const data = join(folder, 'data')
const beside = join(folder, 'beside')
const elsewhere = join(folder, 'elsewhere')
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const tokenIn = (dataDir: string): string => readFileSync(join(dataDir, 'admin-token'), 'utf8').trim()

test('--once moves every lead, stops everything, and ends with a line of JSON', async () => {
  const { code, stdout, stderr } = await runNpmStart(['--once', '--leads', '200', '--data', data])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(summaryOf(stdout.trimEnd().split('\n').at(-1))).toMatchObject({ status: 'succeeded', jobs: 202, leads: 200 })
  expect(stripVTControlCharacters(stdout), 'plain lines').toBe(stdout)
  expect(runningIn(data)).toEqual(new Map())
  expect(existsSync(join(data, 'lock'))).toBe(false)
})

describe('a second start, left up with --keep', () => {
  let start: NpmStart
  let summary: ReturnType<typeof summaryOf>
  let token: string
  let url: string
  beforeAll(async () => {
    token = tokenIn(data)
    start = npmStart(['--once', '--keep', '--leads', '20', '--data', data])
    summary = summaryOf(await start.said(/^\{.*\}$/))
    url = await start.said(/^API +(http:\S+)\/v1 /)
  })
  afterAll(() => start.killTree())

  const get = (path: string, bearer: string) =>
    fetch(`${url}/v1/${path}`, { headers: { authorization: `Bearer ${bearer}` } })

  test('finds leads, workflow and token of the first', async () => {
    expect(summary).toMatchObject({ status: 'succeeded', jobs: 22, leads: 20 })
    expect(await start.said(/^token +export ESTEIRA_ADMIN_TOKEN=(\S+)$/)).toBe(token)
    const workflows = z
      .object({ items: z.array(z.object({ id: z.uuid(), name: z.string(), version: z.int() })) })
      .parse(await (await get('workflows', token)).json()).items
    expect(workflows).toMatchObject([{ name: 'leads', version: 1 }])
    const runs = z
      .object({ items: z.array(z.object({ id: z.string(), status: z.string() })) })
      .parse(await (await get(`workflows/${workflows[0]?.id}/runs?limit=50`, token)).json()).items
    expect(runs).toContainEqual(expect.objectContaining({ id: summary.run, status: 'succeeded' }))
    expect(runs.length).toBeGreaterThan(1)
  })

  test('answers to nobody without the token', async () => {
    expect((await get('workflows', 'another')).status).toBe(401)
  })

  test('shows how to look into the table, and the rows are there', async () => {
    const crm = await start.said(/^the leads +psql '(\S+)' /)
    expect(await runOn(crm, 'select count(*)::int, count(distinct email)::int as emails from leads')).toEqual([
      { count: 200, emails: 200 },
    ])
  })

  test('keeps its folder to itself', async () => {
    const { code, stderr } = await runNpmStart(['--once', '--data', data])
    expect(code).toBe(1)
    expect(stderr).toMatch(/^--data: \S+ is in use by process \d+; stop that one first\n$/)
  })

  test('does not meet a copy beside it, which takes the next port and says so', async () => {
    const { code, stdout } = await runNpmStart(['--once', '--leads', '30', '--data', beside])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^port 8080 of 127\.0\.0\.1 is taken, the control plane uses \d+$/m)
    expect(summaryOf(stdout.trimEnd().split('\n').at(-1))).toMatchObject({ status: 'succeeded', jobs: 32, leads: 30 })
    expect(tokenIn(beside)).not.toBe(token)
    expect((await get('workflows', token)).status).toBe(200)
  })

  test('lets a start whose run fails say the error, how to see every failed job, and end with 1', async () => {
    const rdStation = await start.said(/^RD Station (http:\S+)/)
    const { code, stdout } = await runNpmStart(['--once', '--data', elsewhere], {
      ...(await serversOfRun()),
      RDSTATION_BASE_URL: rdStation,
      RDSTATION_CLIENT_ID: 'of somebody else',
      RDSTATION_CLIENT_SECRET: 'of somebody else',
      RDSTATION_REFRESH_TOKEN: 'of somebody else',
    })
    expect(code).toBe(1)
    const lines = stdout.trimEnd().split('\n')
    const { run, ...rest } = summaryOf(lines.at(-1))
    expect(rest).toMatchObject({ status: 'failed', jobs: 2, leads: 0 })
    expect(lines).toContainEqual(expect.stringMatching(/^1 job failed, the last with unauthorized: .*ACCESS_DENIED/))
    expect(lines).toContainEqual(
      expect.stringMatching(
        `^  curl .*\\$ESTEIRA_ADMIN_TOKEN" 'http://127.0.0.1:\\d+/v1/jobs\\?runId=${run}&status=failed'$`,
      ),
    )
  })

  test('lets a start whose API is not there say so while it waits', async () => {
    const waiting = npmStart(['--once', '--data', elsewhere], {
      ...(await serversOfRun()),
      RDSTATION_BASE_URL: 'http://127.0.0.1:9',
      RDSTATION_CLIENT_ID: 'mine',
      RDSTATION_CLIENT_SECRET: 'mine',
      RDSTATION_REFRESH_TOKEN: 'mine',
    })
    await waiting.said(
      /^nothing has moved for \d+ s, the last attempt ended with: .*ECONNREFUSED 127\.0\.0\.1:9/,
      60_000,
    )
    expect(await waiting.interrupt()).toMatchObject({ code: 130 })
  })

  test('is ended by Ctrl-C in order: who writes, the relays, the stand-in, RabbitMQ, Postgres', async () => {
    const pids = [...runningIn(data).values()]
    expect(pids).toHaveLength(11)
    await waitsForRateLimit()
    const { code, signal, stdout, stderr } = await start.interrupt()
    expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' })
    const stopped = [...stdout.matchAll(/^(.+) has stopped$/gm)].map(([, name]) => name)
    expect(new Set(stopped.slice(0, 3))).toEqual(new Set(['control-plane', 'rd-station-get-leads', 'database-query']))
    expect(stopped.slice(3, 7)).toEqual(Array.from({ length: 4 }, () => expect.stringMatching(/^relay of /)))
    expect(stopped.slice(7)).toEqual(['rd-station stand-in', 'rabbitmq', 'postgres'])
    expect(pids.filter(isAlive)).toEqual([])
    expect(runningIn(data)).toEqual(new Map())
    // What only waited gave its job back, to come again when the limit is over.
    const log = readFileSync(join(data, 'logs', 'rd-station-get-leads.log'), 'utf8')
    expect(log).toMatch(/"event":"job\.written",.*"ending":"requeued",.*"code":"snoozed"/)
    expect(log).not.toContain('delivery.handed-back')
  })

  /** A run that RD Station has asked to come again in a minute. */
  const waitsForRateLimit = async () => {
    const control = `${await start.said(/^RD Station (http:\S+)/)}/_control`
    const refusal = { status: 429, retryAfter: 60 }
    await fetch(control, { method: 'PUT', body: JSON.stringify({ failNext: [refusal] }) })
    const api = createHouseApi(url, token)
    await api.startRun({ id: (await api.findWorkflow('leads'))?.id ?? '' })
    await waitFor(async () => (await (await fetch(control)).text()).includes('"429":1'))
  }
})

describe('two copies that are started at the same moment, one of them with --fresh', () => {
  let before: string
  let starts: NpmStart[] = []
  let ends: Awaited<NpmStart['ended']>[]
  beforeAll(async () => {
    before = tokenIn(data)
    starts = [
      npmStart(['--once', '--fresh', '--leads', '10', '--data', data]),
      npmStart(['--once', '--leads', '10', '--data', beside]),
    ]
    ends = await Promise.all(starts.map(({ ended }) => ended))
  })
  afterAll(async () => {
    await Promise.all(starts.map(({ killTree }) => killTree()))
  })

  test("do not take each other's ports", () => {
    expect(ends.map(({ code }) => code)).toEqual([0, 0])
    const outputs = ends.map(({ stdout }) => stdout)
    expect(outputs.filter((stdout) => stdout.includes('the control plane uses'))).not.toEqual([])
    expect(outputs.filter((stdout) => stdout.includes('is started again'))).toEqual([])
  })

  test('the fresh one begins with no leads and another token, the other goes on with what it had', () => {
    const summaries = ends.map(({ stdout }) => summaryOf(stdout.trimEnd().split('\n').at(-1)))
    expect(summaries).toMatchObject([
      { status: 'succeeded', jobs: 12, leads: 10 },
      { status: 'succeeded', jobs: 12, leads: 10 },
    ])
    expect(tokenIn(data)).not.toBe(before)
  })
})
