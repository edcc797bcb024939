import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { freePort, runOn, startProxy, startSilentServer } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { startSidecar } from '../test/start-sidecar.ts'
import { channel, commit, count, database, db, environment, rowsOf, useServices, vhost } from '../test/use-services.ts'

const soon = { timeout: 40_000, interval: 20 }
/** Nothing listens there: it is the port of a service that no machine has. */
const nobody = '127.0.0.1:9'

useServices()

test('the relay says when it is ready, publishes, and on SIGTERM drains its lane and exits with 0', async () => {
  await channel.assertQueue('drains')
  const relay = startSidecar(environment('drains'))
  await expect.poll(() => relay.saw('ready'), soon).toMatchObject([{ name: 'relay', level: 'info', lane: 'drains' }])
  await commit('drains', [1])
  await expect.poll(() => count('drains'), soon).toBe(1)
  await commit(
    'drains',
    Array.from({ length: 2_000 }, (_, index) => index),
  )
  relay.child.kill('SIGTERM')
  expect(await relay.exited).toBe(0)
  expect(await count('drains')).toBe(2_001)
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: true }])
  expect(relay.faults).toEqual([])
})

test('a lane with the longest name that Kubernetes gives a pod is carried like any other', async () => {
  const lane = 'a'.repeat(253)
  await channel.assertQueue(lane)
  // A poll far beyond the test: what goes out was rung for.
  const relay = startSidecar({ ...environment(lane), ESTEIRA_RELAY_POLL_MS: '600000' })
  await expect.poll(() => relay.saw('ready').length, soon).toBe(1)
  for (const round of [1, 2]) {
    await commit(lane, [round])
    await expect.poll(() => count(lane), soon).toBe(round)
  }
  relay.child.kill('SIGTERM')
  expect(await relay.exited).toBe(0)
  expect(relay.faults).toEqual([])
})

test('another SIGTERM changes nothing: the drain goes on', async () => {
  await channel.assertQueue('asked twice')
  const proxy = await startProxy(vhost.url)
  onTestFinished(proxy.stop)
  const relay = startSidecar({ ...environment('asked twice'), RABBITMQ_URL: proxy.url })
  await commit('asked twice', [1])
  await expect.poll(() => count('asked twice'), soon).toBe(1)
  // Not before the first one has its confirm, or the second one would wait for it.
  await expect.poll(() => rowsOf('asked twice'), soon).toBe(0)
  // The drain waits for a confirm meanwhile.
  proxy.pause()
  await commit('asked twice', [2])
  await expect.poll(() => count('asked twice'), soon).toBe(2)
  let asked = 0
  const ask = () => {
    relay.child.kill('SIGTERM')
    asked += 1
    return asked
  }
  await expect.poll(ask, { interval: 50 }).toBe(5)
  proxy.resume()
  expect(await relay.exited).toBe(0)
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: true }])
})

test('a relay that cannot hear its bell carries its lane all the same, and on SIGTERM to the end', async () => {
  await channel.assertQueue('deaf')
  const role = `${new URL(database.url).pathname.slice(1)}_deaf`
  await db.query(`create role "${role}" login password 'any' connection limit 1`)
  onTestFinished(async () => void (await runOn(database.url, `drop owned by "${role}"`, `drop role "${role}"`)))
  await db.query(`grant select, insert, update, delete on all tables in schema public to "${role}"`)
  const address = Object.assign(new URL(database.url), { username: role, password: 'any' }).href
  await commit(
    'deaf',
    Array.from({ length: 1_000 }, (_, index) => index),
  )
  const relay = startSidecar({
    ...environment('deaf'),
    DATABASE_URL: address,
    ESTEIRA_RELAY_WINDOW: '4',
    ESTEIRA_GRACE_MS: '60000',
  })
  await expect.poll(() => rowsOf('deaf'), soon).toBeLessThan(1_000)
  relay.child.kill('SIGTERM')
  expect(await relay.exited).toBe(0)
  expect(relay.saw('ready')).toEqual([])
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: true }])
  expect(await count('deaf')).toBe(1_000)
  expect(relay.faults).toEqual([])
}, 60_000)

test.each([
  ['RabbitMQ', (port: number) => ({ RABBITMQ_URL: `amqp://127.0.0.1:${port}` }), 'ready'],
  ['Postgres', (port: number) => ({ DATABASE_URL: `postgres://app@127.0.0.1:${port}/app` }), null],
])('SIGTERM ends a relay in its grace whose %s takes connections and says nothing', async (_, silentAt, event) => {
  const silent = await startSilentServer()
  onTestFinished(silent.stop)
  // For an empty lane it would wait for neither.
  await commit('silent', [1])
  const relay = startSidecar({ ...environment('silent'), ...silentAt(silent.port), ESTEIRA_GRACE_MS: '300' })
  await expect.poll(() => silent.connections(), soon).toBeGreaterThan(0)
  if (event !== null) await expect.poll(() => relay.saw(event).length, soon).toBe(1)
  const askedAtMs = performance.now()
  relay.child.kill('SIGTERM')
  expect(await relay.exited).toBe(0)
  expect(performance.now() - askedAtMs).toBeLessThan(4_000)
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: false }])
  expect(relay.faults).toEqual([])
})

test('one that is told to end before its relay has begun ends, also without a Postgres', async () => {
  // As early as can be: when its health is first served, while the start waits for that.
  const early = `
    import { Server } from 'node:net'
    const emit = Server.prototype.emit
    Server.prototype.emit = function (event, ...args) {
      if (event === 'listening') process.emit('SIGTERM')
      return emit.call(this, event, ...args)
    }`
  const relay = startSidecar({
    ...environment('early'),
    DATABASE_URL: `postgres://any@${nobody}/any`,
    ESTEIRA_HEALTH_PORT: String(await freePort()),
    NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(early)}`,
  })
  expect(await relay.exited).toBe(0)
  expect(relay.faults).toEqual([])
})

test('when the owner of a lane is killed, the relay that waits for it takes over', async () => {
  await channel.assertQueue('killed')
  const owned = expect.objectContaining({ lane: 'killed' })
  const owner = startSidecar(environment('killed'))
  await expect.poll(() => owner.saw('relay.owned'), soon).toContainEqual(owned)
  const heir = startSidecar(environment('killed'))
  await expect.poll(() => heir.saw('ready').length, soon).toBe(1)
  await expect.poll(() => heir.saw('relay.waiting').length, soon).toBe(1)
  owner.child.kill('SIGKILL')
  await owner.exited
  await commit('killed', [1, 2, 3])
  await expect.poll(() => count('killed'), soon).toBe(3)
  await expect.poll(() => heir.saw('relay.owned'), soon).toContainEqual(owned)
})

test('the relay is ready without RabbitMQ, and says where it looks for it without the password', async () => {
  const relay = startSidecar({ ...environment('alone'), RABBITMQ_URL: `amqp://app:s3cret@${nobody}/app` })
  await expect.poll(() => relay.saw('ready').length, soon).toBe(1)
  await expect.poll(() => relay.saw('broker.unavailable').length, soon).toBeGreaterThan(1)
  expect(relay.saw('broker.unavailable')[0]).toMatchObject({
    level: 'warn',
    address: `amqp://app@${nobody}/app`,
    reason: expect.stringContaining('ECONNREFUSED'),
  })
  expect(JSON.stringify(relay.lines)).not.toContain('s3cret')
})

test('the relay is ready and tells its metrics without RabbitMQ, and says that it is not ready without Postgres', async () => {
  const port = String(await freePort())
  const at = (path: string) => fetch(`http://127.0.0.1:${port}${path}`)
  const proxy = await startProxy(database.url)
  startSidecar({
    ...environment('looked at'),
    DATABASE_URL: proxy.url,
    RABBITMQ_URL: `amqp://app:s3cret@${nobody}/app`,
    ESTEIRA_HEALTH_PORT: port,
  })
  await expect.poll(async () => (await at('/readyz').catch(() => null))?.status, soon).toBe(200)
  expect((await at('/healthz')).status).toBe(200)
  const metrics = await at('/metrics')
  expect(metrics.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
  expect(await metrics.text()).toMatch(/^esteira_relay_broker_up 0$/m)
  await proxy.stop()
  await expect.poll(async () => (await at('/readyz')).status, soon).toBe(503)
  expect((await at('/healthz')).status).toBe(200)
  expect((await at('/metrics')).status).toBe(200)
  expect((await at('/')).status).toBe(404)
})

test('the relay tells its metrics while Postgres says nothing', async () => {
  const port = String(await freePort())
  const proxy = await startProxy(database.url)
  onTestFinished(proxy.stop)
  const relay = startSidecar({ ...environment('unanswered'), DATABASE_URL: proxy.url, ESTEIRA_HEALTH_PORT: port })
  await expect.poll(() => relay.saw('ready').length, soon).toBe(1)
  proxy.pause()
  const metrics = await fetch(`http://127.0.0.1:${port}/metrics`, { signal: AbortSignal.timeout(10_000) })
  expect(await metrics.text()).toMatch(/^esteira_relay_lanes \d+$/m)
})

test('without Postgres every try is one line with the address, and SIGTERM ends the waiting', async () => {
  const relay = startSidecar({ ...environment('nowhere'), DATABASE_URL: `postgres://app:s3cret@${nobody}/app` })
  await expect.poll(() => relay.saw('database.unavailable').length, soon).toBeGreaterThan(1)
  expect(relay.saw('database.unavailable')[0]).toMatchObject({
    level: 'warn',
    address: `postgres://app@${nobody}/app`,
    reason: expect.stringContaining('ECONNREFUSED'),
    attempt: 1,
  })
  expect(relay.saw('ready')).toEqual([])
  relay.child.kill('SIGTERM')
  expect(await relay.exited).toBe(0)
  expect(JSON.stringify(relay.lines)).not.toContain('s3cret')
  expect(relay.faults).toEqual([])
})

test('faults of the environment are one line each, and the exit code says so', async () => {
  const relay = startSidecar({ RABBITMQ_URL: vhost.url, ESTEIRA_RELAY_WINDOW: '0', ESTEIRA_LAN: 'web-1' })
  expect(await relay.exited).toBe(2)
  expect(relay.faults).toEqual([
    'ESTEIRA_LAN is not a variable of Esteira, did you mean "ESTEIRA_LANE"?',
    expect.stringMatching(/^DATABASE_URL .* is not set$/),
    expect.stringMatching(/^ESTEIRA_RELAY_WINDOW .* from 1 to 10000, "0" is not$/),
  ])
  expect(relay.lines).toEqual([])
})

test('nothing of MikroORM, Kysely or zod is loaded by a relay', async () => {
  const list = `
    import { createRequire, registerHooks } from 'node:module'
    const loaded = []
    registerHooks({ load: (url, context, next) => { loaded.push(url); return next(url, context) } })
    await import(${JSON.stringify(join(import.meta.dirname, '../../lib/outbox/src/relay/index.ts'))})
    console.log(JSON.stringify(loaded))`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', list], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const output = (await child.stdout.toArray()).join('')
  expect(output).toContain('rascal')
  expect(output).not.toMatch(/node_modules\/(@mikro-orm|kysely|zod)\//)
})

test('a relay whose bell comes back says nothing beside its log', async () => {
  const relay = startSidecar(environment('bell again'))
  await expect.poll(() => relay.saw('relay.owned').length, { ...soon, timeout: 60_000 }).toBe(9)
  await db.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'outbox bell bell%'`,
  )
  await expect.poll(() => relay.saw('bell.listening').length, { ...soon, timeout: 60_000 }).toBe(2)
  expect(relay.faults).toEqual([])
}, 150_000)

test('a relay that is stopped long after it has lost Postgres leaves nothing behind that keeps its process', async () => {
  const proxy = await startProxy(database.url)
  onTestFinished(proxy.stop)
  const relay = startSidecar({ ...environment('bell away'), DATABASE_URL: proxy.url, ESTEIRA_GRACE_MS: '0' })
  await expect.poll(() => relay.saw('ready').length, soon).toBe(1)
  proxy.cut()
  // The wait for the next one takes four seconds and more.
  const sixth = { reason: expect.stringContaining('attempt 6 to listen') }
  await expect
    .poll(() => relay.saw('bell.lost'), { ...soon, timeout: 60_000 })
    .toContainEqual(expect.objectContaining(sixth))
  relay.child.kill('SIGTERM')
  await expect.poll(() => relay.saw('relay.stopped').length, soon).toBe(1)
  await expect.poll(() => relay.child.exitCode, { ...soon, timeout: 3_000 }).toBe(0)
}, 150_000)
