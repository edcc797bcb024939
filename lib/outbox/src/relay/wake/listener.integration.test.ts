import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path, { join } from 'node:path'
import { certificateAuthority, runOn, startProxy, waitFor } from '@esteira/test/support'
import pg from 'pg'
import { expect, onTestFinished, test, vi } from 'vitest'
import { hearUncaught } from '../../../test/hear-uncaught.ts'
import { startListener } from '../../../test/start-listener.ts'
import { throwIn } from '../../../test/throw-in.ts'
import { database, lane, useLane, vhost } from '../../../test/use-lane.ts'
import type { Observation } from '../observation.ts'

const soon = { timeout: 10_000, interval: 10 }

useLane()

const endSession = () =>
  runOn(
    database.url,
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'outbox bell ${lane.name}'`,
  )

test('a lane is rung for once it is listened for, since whoever wrote before rang for nobody', async () => {
  const listener = startListener({ databaseUrl: database.url, rabbitmqUrl: vhost.url, lane: lane.name })
  await listener.listening
  let rings = 0
  listener.add(lane.id, () => (rings += 1))
  await expect.poll(() => rings, soon).toBe(1)
  await lane.db.query(`notify outbox_lane_${lane.id}`)
  await expect.poll(() => rings, soon).toBe(2)
})

test('a lane that is given up is listened for no more', async () => {
  const listener = startListener({ databaseUrl: database.url, rabbitmqUrl: vhost.url, lane: lane.name })
  await listener.listening
  // Postgres tells of another session which channels it listens to in no other way.
  const lastStatement = async () => {
    const { rows } = await lane.db.query<{ query: string }>(
      'select query from pg_stat_activity where application_name = $1',
      [`outbox bell ${lane.name}`],
    )
    return rows.map(({ query }) => query)
  }
  listener.add(lane.id, () => {})
  await expect.poll(lastStatement, soon).toEqual([expect.stringMatching(`^LISTEN .*outbox_lane_${lane.id}`)])
  listener.remove(lane.id)
  await expect.poll(lastStatement, soon).toEqual([expect.stringMatching(`^UNLISTEN .*outbox_lane_${lane.id}`)])
})

test.each([
  ['', ''],
  ['?options=-c%20search_path%3Dpublic', ''],
  ['?options=-c%20idle_session_timeout%3D300ms', ''],
  ['', '-c idle_session_timeout=300ms'],
])(
  'a limit for idle sessions does not end the one that waits for rings (address with "%s", PGOPTIONS "%s")',
  async (query, environment) => {
    const limit = (change: string) => runOn(database.url, `alter database ${lane.db.database} ${change}`)
    await limit(`set idle_session_timeout = '300ms'`)
    onTestFinished(async () => void (await limit('reset idle_session_timeout')))
    vi.stubEnv('PGOPTIONS', environment)
    onTestFinished(() => void vi.unstubAllEnvs())
    const observed: Observation['kind'][] = []
    const listener = startListener({
      databaseUrl: `${database.url}${query}`,
      rabbitmqUrl: vhost.url,
      lane: lane.name,
      observe: ({ kind }) => observed.push(kind),
    })
    await listener.listening
    let rings = 0
    listener.add(lane.id, () => (rings += 1))
    await expect.poll(() => rings, soon).toBe(1)
    // One that is idle since later, so the bell's would have ended before it.
    const witness = new pg.Client(database.url)
    const ended = Promise.withResolvers<unknown>()
    witness.on('error', (error) => ended.resolve(error))
    await witness.connect()
    await ended.promise
    await lane.db.query(`notify outbox_lane_${lane.id}`)
    await expect.poll(() => rings, soon).toBe(2)
    expect(observed).toEqual(['bell.listening'])
  },
)

// Postgres tells nobody of another session's settings, but refuses one that it does not know.
test.each([
  ['?options=-c%20unknown_here%3D1', ''],
  ['', '-c unknown_here=1'],
])('what the user asks for reaches it as well (address with "%s", PGOPTIONS "%s")', async (query, environment) => {
  vi.stubEnv('PGOPTIONS', environment)
  onTestFinished(() => void vi.unstubAllEnvs())
  const lost = Promise.withResolvers<string>()
  startListener({
    databaseUrl: `${database.url}${query}`,
    rabbitmqUrl: vhost.url,
    lane: lane.name,
    observe: (observation) => observation.kind === 'bell.lost' && lost.resolve(observation.reason),
  })
  expect(await lost.promise).toContain('"unknown_here"')
})

test('one that cannot begin a session while a file is missing that its address names goes on when it is there', async () => {
  const uncaught = hearUncaught()
  const folder = await mkdtemp(join(tmpdir(), 'esteira-bell-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const file = join(folder, 'ca.pem')
  const provide = () => copyFile(certificateAuthority, file)
  await provide()
  const observed: Observation[] = []
  const saw = (kind: Observation['kind']) => observed.filter((one) => one.kind === kind)
  const listener = startListener({
    databaseUrl: `${database.url}?sslmode=disable&sslrootcert=${file}`,
    rabbitmqUrl: vhost.url,
    lane: lane.name,
    observe: (one) => observed.push(one),
  })
  await listener.listening
  await rm(file)
  await endSession()
  const missing = expect.objectContaining({
    reason: expect.stringContaining(`no such file or directory, open '${file}'`),
  })
  await expect.poll(() => saw('bell.lost'), soon).toContainEqual(missing)
  await provide()
  await expect.poll(() => saw('bell.listening').length, soon).toBe(2)
  expect(uncaught).toEqual([])
})

test('one whose connection comes to nothing, of which pg tells only who listens to its client, tries again and can be closed', async () => {
  // It asks for a password, which pg looks up in a file when the address has none.
  const server = createServer((client) => {
    client.on('error', () => client.destroy())
    client.once('data', () => client.write(Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3])))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  onTestFinished(() => void server.close())
  const url = new URL(database.url)
  url.password = ''
  url.port = String(Object(server.address()).port)
  throwIn('pgpass', path, 'join')
  const reasons: string[] = []
  const listener = startListener({
    databaseUrl: url.href,
    rabbitmqUrl: vhost.url,
    lane: lane.name,
    observe: (observation) => observation.kind === 'bell.lost' && reasons.push(observation.reason),
  })
  await expect.poll(() => reasons.length, soon).toBeGreaterThan(0)
  await listener.close()
})

test('of a session that is lost under several statements each reason is told once', async () => {
  const proxy = await startProxy(database.url)
  onTestFinished(proxy.stop)
  const reasons: string[] = []
  const observe = (observation: Observation) =>
    void (observation.kind === 'bell.lost' && reasons.push(observation.reason))
  const settings = { databaseUrl: proxy.url, rabbitmqUrl: vhost.url, lane: lane.name, observe }
  const listener = startListener(settings)
  await listener.listening
  proxy.pause()
  let rings = 0
  for (const number of [1, 2, 3, 4]) listener.add(number, () => (rings += 1))
  proxy.cut()
  await expect.poll(() => reasons.length, soon).toBeGreaterThan(1)
  proxy.resume()
  await expect.poll(() => rings, soon).toBeGreaterThanOrEqual(4)
  expect(reasons).toEqual([...new Set(reasons)])
})

test('one whose sessions end soon after they listened begins the next one later and later, until one has lasted', async () => {
  let nowMs = 0
  const pausesMs: number[] = []
  const reasons: string[] = []
  let listened = 0
  const observe = (observation: Observation) => {
    if (observation.kind === 'bell.listening') listened += 1
    if (observation.kind !== 'bell.lost') return
    pausesMs.push(observation.retryInMs)
    reasons.push(observation.reason)
  }
  startListener({ databaseUrl: database.url, rabbitmqUrl: vhost.url, lane: lane.name, observe }, () => nowMs)
  for (const lastsMs of [0, 9_999, 9_999, 10_000]) {
    await expect.poll(() => listened, soon).toBe(pausesMs.length + 1)
    const before = pausesMs.length
    nowMs += lastsMs
    await endSession()
    await expect.poll(() => pausesMs.length, soon).toBe(before + 1)
  }
  // Each is at least half of 250, 500 and so on, milliseconds, the rest of it by chance.
  expect(pausesMs[2]).toBeGreaterThanOrEqual(500)
  expect(pausesMs[3]).toBeLessThanOrEqual(250)
  expect(reasons.join()).not.toContain('attempt')
})

test('the first try to listen anew is told as the first', async () => {
  const proxy = await startProxy(database.url)
  onTestFinished(proxy.stop)
  const reasons: string[] = []
  const observe = (observation: Observation) =>
    void (observation.kind === 'bell.lost' && reasons.push(observation.reason))
  const listener = startListener({ databaseUrl: proxy.url, rabbitmqUrl: vhost.url, lane: lane.name, observe })
  await listener.listening
  proxy.cut()
  await expect.poll(() => reasons.length, soon).toBeGreaterThan(2)
  expect(reasons.slice(0, 3)).toEqual([
    expect.not.stringContaining('attempt'),
    expect.stringMatching(/^attempt 1 to listen: /),
    expect.stringMatching(/^attempt 2 to listen: /),
  ])
})

test('one that is to begin anew keeps a session that it has begun since then, and gives up one from before', async () => {
  const proxy = await startProxy(database.url)
  onTestFinished(proxy.stop)
  const observed: Observation[] = []
  const observe = (observation: Observation) => void observed.push(observation)
  const beforeMs = performance.now()
  proxy.pause()
  const listener = startListener({ databaseUrl: proxy.url, rabbitmqUrl: vhost.url, lane: lane.name, observe })
  await waitFor(() => proxy.connections() === 1)
  listener.renew(beforeMs)
  proxy.resume()
  await listener.listening
  expect(observed).toEqual([{ kind: 'bell.listening' }])
  listener.renew(performance.now())
  const lost = { kind: 'bell.lost', reason: 'another session has gone silent' }
  await expect.poll(() => observed, soon).toContainEqual(expect.objectContaining(lost))
})

test('one that is closed while it waits for a server that says nothing hangs up', async () => {
  const proxy = await startProxy(database.url)
  onTestFinished(proxy.stop)
  const observed: Observation['kind'][] = []
  const observe = ({ kind }: Observation) => void observed.push(kind)
  const settings = { databaseUrl: proxy.url, rabbitmqUrl: vhost.url, lane: lane.name, observe }
  const listener = startListener(settings)
  await listener.listening
  proxy.cut()
  await waitFor(() => observed.includes('bell.lost'))
  proxy.pause()
  await waitFor(() => proxy.connections() === 1)
  await listener.close()
  // Long before the connection is given up for its own time.
  await waitFor(() => proxy.connections() === 0, { deadlineMs: 5_000 })
})
