import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { leadsWorkflow, programs, tickProgram } from '@esteira/dev/house'
import { defaultCredentials, startRdStation } from '@esteira/dev/rd-station'
import {
  cloneDatabase,
  createHouseApi,
  createVhost,
  emptyDatabase,
  freePort,
  runOn,
  startOtlpReceiver,
  waitFor,
} from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import * as z from 'zod'
import { buildah, buildImages } from './index.ts'
import { alone, folder } from './test/build.ts'
import { type Container, type Rise, riseOf, startContainer, type Unpacked } from './test/container.ts'
import { build, built, engine, images, programOf, useImages } from './test/use-images.ts'

useImages()

const root = resolve(import.meta.dirname, '..')
/** In no `/etc/passwd`. */
const nobody = 71_357
const longMs = 120_000

const start = (image: Unpacked, env: Readonly<Record<string, string>>, args?: readonly string[]): Container =>
  startContainer({ runc: programOf('runc'), image, env, uid: nobody, ...(args && { args }) })

test('one Dockerfile gives both images, and none anew of a tree that has not changed', async () => {
  expect(built.map(({ image }) => image)).toEqual(['localhost/esteira:test', 'localhost/esteira-relay:test'])
  expect((await build()).map(({ isNew }) => isNew)).toEqual([false, false])
  const { version } = z
    .object({ version: z.string() })
    .parse(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')))
  for (const { image } of built) expect(await engine.labelOf(image, 'org.opencontainers.image.version')).toBe(version)
}, 300_000)

test('the same tree gives the same images wherever they are built, the base too', async () => {
  const elsewhere = join(folder, 'again')
  const another = buildah(join(elsewhere, 'buildah'), process.env, programOf('buildah'))
  onTestFinished(() => rmSync(elsewhere, { recursive: true }))
  const again = await buildImages({
    engine: another,
    folder: elsewhere,
    prefix: 'localhost/',
    tag: 'test',
    base: 'own',
  })
  expect(again.map(({ isNew }) => isNew)).toEqual([true, true])
  for (const { image } of built) expect(await another.idOf(image)).toBe(await engine.idOf(image))
}, 600_000)

test('a base that is named is taken as it is now, and another one under its name gives other images', async () => {
  const own = `localhost/esteira-base:${process.version}`
  const [base, moved] = ['registry.invalid/base:1', 'localhost/esteira-base:moved']
  const buildOn = () =>
    alone(() => buildImages({ engine, folder, prefix: 'localhost/on/', tag: 'test', base, only: ['esteira-relay'] }))
  await engine.tag(own, base)
  const first = await buildOn()
  const [image = ''] = first.map((one) => one.image)
  const digest = await engine.labelOf(image, 'org.opencontainers.image.base.digest')
  expect(await engine.pin(base)).toEqual({ image: `registry.invalid/base@${digest}`, digest })
  expect((await buildOn()).map(({ isNew }) => isNew)).toEqual([false])
  const context = mkdtempSync(join(tmpdir(), 'esteira-moved-'))
  onTestFinished(() => rmSync(context, { recursive: true }))
  writeFileSync(join(context, 'Dockerfile'), `FROM ${own}\nLABEL moved="yes"\n`)
  const dockerfile = join(context, 'Dockerfile')
  await alone(() => engine.build({ image: moved, dockerfile, context, labels: {}, epoch: 0 }))
  await engine.tag(moved, base)
  expect((await buildOn()).map(({ isNew }) => isNew)).toEqual([true])
  expect(await engine.labelOf(image, 'moved')).toBe('yes')
}, 600_000)

test.each(['esteira', 'relay'] as const)('%s has no shell, no npm and nothing that its user may write', (name) => {
  const { folder: top, config } = images[name]
  expect(config).toMatchObject({ User: '65532:65532', Entrypoint: ['/nodejs/bin/node'], WorkingDir: '/app' })
  const files = readdirSync(top, { recursive: true, encoding: 'utf8' }).map((file) => join(top, file))
  expect(files.length).toBeGreaterThan(10)
  const named = /^(sh|bash|dash|ash|busybox|env|npm|npx|corepack|yarn|pnpm)$/
  expect(files.filter((file) => named.test(basename(file)) && !lstatSync(file).isDirectory())).toEqual([])
  const writable = files.filter((file) => {
    const { mode, uid } = lstatSync(file)
    return uid !== 0 || ((mode & 0o022) !== 0 && !lstatSync(file).isSymbolicLink())
  })
  expect(writable.map((file) => relative(top, file))).toEqual(['tmp'])
})

test('only what programs run is in the images: no test, no types, and of the relay its bundle alone', () => {
  const files = readdirSync(images.esteira.folder, { recursive: true, encoding: 'utf8' })
  expect(files.filter((file) => /\.test\.ts$|\.d\.ts$|(^|\/)(vitest|typescript|rolldown)\//.test(file))).toEqual([])
  expect(readdirSync(join(images.relay.folder, 'app')).toSorted()).toEqual([
    'LICENSE',
    'THIRD-PARTY-LICENSES',
    'main.js',
    'main.js.map',
    'parts',
  ])
})

test('every package of others goes along with its licence, in the bundle of the relay too', () => {
  const top = join(images.esteira.folder, 'app/node_modules')
  const manifests = readdirSync(top, { recursive: true, encoding: 'utf8' }).filter((file) =>
    /(^|\/)node_modules\/(@[^/]+\/)?[^/]+\/package\.json$/.test(`node_modules/${file}`),
  )
  expect(manifests.length).toBeGreaterThan(50)
  const says = /^(licen[cs]e|notice|copying|readme)/i
  const bare = manifests
    .map((file) => dirname(join(top, file)))
    .filter((at) => {
      return !lstatSync(at).isSymbolicLink() && !readdirSync(at).some((file) => says.test(file))
    })
  expect(bare.map((at) => relative(top, at))).toEqual([])
  const ofRelay = readFileSync(join(images.relay.folder, 'app/THIRD-PARTY-LICENSES'), 'utf8')
  for (const name of ['pg', 'amqplib', 'rascal', 'lodash', '@opentelemetry/api']) {
    expect(ofRelay).toMatch(new RegExp(`^${name} \\d+\\.\\d+\\.\\d+ \\(`, 'm'))
  }
  expect(ofRelay).toContain('Permission is hereby granted, free of charge')
  expect(ofRelay).toContain('Apache License')
})

test('on a read-only root, by a user without a name or a home, leads go from a tick into a table, traced', async () => {
  const leads = 300
  const [database, target, vhost, rdStation, receiver, port] = await Promise.all([
    cloneDatabase(),
    emptyDatabase(),
    createVhost(),
    startRdStation({ leads, rateLimitPerMinute: null }),
    startOtlpReceiver(),
    freePort(),
  ])
  onTestFinished(async () => {
    await Promise.all([rdStation.stop(), receiver.stop(), database.drop(), target.drop(), vhost.drop()])
  })
  await runOn(target.url, 'create table lead (uuid text)')
  const settings = {
    databaseUrl: database.url,
    rabbitmqUrl: vhost.url,
    crmUrl: target.url,
    connections: {},
    secrets: {},
    rdStation: { baseUrl: rdStation.url, ...defaultCredentials },
    rateLimit: 0,
    adminToken: 'a-token-of-the-tests-that-is-long-enough',
    port,
    cron: 'off',
    logLevel: 'info',
  } as const
  const { controlPlane, workers, relays } = programs(settings)
  const env = { ...receiver.env, ESTEIRA_GRACE_MS: '20000' }
  const services = [controlPlane, ...workers].map((one) => {
    return start(images.esteira, { ...one.env, ...env }, [join('/app', relative(root, one.script))])
  })
  const sidecars = relays.map((one) => start(images.relay, { ...one.env, ...env }))
  const all = [...services, ...sidecars]
  await waitFor(() => all.every((one) => one.saw('ready').length === 1), {
    deadlineMs: longMs,
    describe: () =>
      all.flatMap(({ faults, lines }) => [...faults, ...lines.map((line) => JSON.stringify(line))]).join('\n'),
  })
  const api = createHouseApi(`http://127.0.0.1:${port}`, settings.adminToken)
  const [tick, getLeads, saveLead] = leadsWorkflow.steps
  const sql = 'insert into lead values ($1)'
  // The expression is of the kind that a process apart evaluates.
  const params = ['{{ $uppercase(payload.uuid) }}']
  const workflow = await api.createWorkflow({
    name: 'leads',
    steps: [tick, getLeads, { ...saveLead, config: { connection: 'crm', sql, params } }],
  })
  const { env: tickEnv } = tickProgram(settings, workflow.steps[0]?.id ?? '', 'job/leads-by-hand')
  const bundle = ['--max-semi-space-size=4', '/app/workers/cron-job/dist/main.js']
  const ticks = [start(images.esteira, { ...tickEnv, ...receiver.env }, bundle)]
  // From its sources it is the same program: the key has its run.
  await ticks[0]?.exited
  ticks.push(start(images.esteira, { ...tickEnv, ...receiver.env }, ['/app/workers/cron-job/src/main.ts']))
  expect(await Promise.all(ticks.map(({ exited }) => exited))).toEqual([0, 0])
  expect(ticks.map(({ lines }) => lines.map(({ event }) => event))).toEqual([['tick.fired'], ['tick.seen']])
  const [run] = await api.runs(workflow)
  expect(await api.runOver(run?.id ?? '', longMs)).toMatchObject({ status: 'succeeded' })
  expect(await runOn(target.url, 'select count(distinct uuid)::int, count(*)::int as rows from lead')).toEqual([
    { count: leads, rows: leads },
  ])
  for (const one of services) one.child.kill('SIGTERM')
  expect(await Promise.all(services.map(({ exited }) => exited))).toEqual(services.map(() => 0))
  for (const one of sidecars) one.child.kill('SIGTERM')
  expect(await Promise.all(sidecars.map(({ exited }) => exited))).toEqual(sidecars.map(() => 0))
  expect(all.flatMap(({ faults }) => faults)).toEqual([])
  expect(all.flatMap(({ saw }) => saw('traces.fault'))).toEqual([])
  const traced = new Set(receiver.spans().map(({ service }) => service))
  expect([...traced].toSorted()).toEqual([
    'esteira-control-plane',
    'esteira-cron-job',
    'esteira-database-query',
    'esteira-rd-station-get-leads',
    'esteira-relay',
  ])
}, 300_000)

test('a relay that traces nothing loads half a megabyte until it is ready, and none of the telemetry', async () => {
  const [database, port] = await Promise.all([cloneDatabase(), freePort()])
  onTestFinished(database.drop)
  const app = join(images.relay.folder, 'app')
  const loaded = importedBy(join(app, 'main.js'))
  // To load it is most of what a start takes.
  expect([...loaded].reduce((bytes, file) => bytes + statSync(file).size, 0)).toBeLessThan(512 * 1_024)
  const parts = emptyFolder()
  for (const file of loaded) copyFileSync(file, join(parts, basename(file)))
  const relay = {
    runc: programOf('runc'),
    image: images.relay,
    env: { DATABASE_URL: database.url, RABBITMQ_URL: 'amqp://127.0.0.1:9', ESTEIRA_HEALTH_PORT: String(port) },
    uid: nobody,
    // Whatever it loads besides would be missing here.
    mounts: [{ from: parts, to: '/app/parts' }],
  }
  const rises: Rise[] = []
  for (let turn = 0; turn < 5; turn += 1) rises.push(await riseOf(relay, `http://127.0.0.1:${port}/readyz`))
  const [best = expect.fail()] = rises.toSorted((a, b) => a.ms - b.ms)
  // How soon is a figure and no claim: docs/performance.md has it.
  process.stdout.write(
    `relay ready ${Math.round(best.ms)} ms after exec in its container, with ${best.cpuMs} ms of CPU\n`,
  )
}, 300_000)

/** A module, and all that its imports bring with it, but for those that wait until they are asked for. */
const importedBy = (file: string, found = new Set<string>()): Set<string> => {
  if (found.has(file)) return found
  found.add(file)
  for (const [, name = ''] of readFileSync(file, 'utf8').matchAll(/(?:from|import) ?["'](\.\.?\/[^"']+)["']/g))
    importedBy(resolve(dirname(file), name), found)
  return found
}

const emptyFolder = (): string => {
  const empty = mkdtempSync(join(tmpdir(), 'esteira-empty-'))
  chmodSync(empty, 0o755)
  onTestFinished(() => rmSync(empty, { recursive: true }))
  return empty
}

test('the source maps of both bundles lead to the sources', async () => {
  const [database, vhost] = await Promise.all([cloneDatabase(), createVhost()])
  onTestFinished(async () => void (await Promise.all([database.drop(), vhost.drop()])))
  const nowhere = new URL(database.url)
  nowhere.pathname = '/nowhere'
  const maps = { NODE_OPTIONS: '--enable-source-maps' }
  const tick = start(
    images.esteira,
    { ...maps, DATABASE_URL: nowhere.href, ESTEIRA_STEP_ID: crypto.randomUUID(), ESTEIRA_TICK_KEY: 'a' },
    ['/app/workers/cron-job/dist/main.js'],
  )
  expect(await tick.exited).toBe(1)
  expectSources(JSON.stringify(tick.lines))
  const relay = start(images.relay, { ...maps, DATABASE_URL: database.url, RABBITMQ_URL: vhost.url })
  await waitFor(() => relay.saw('relay.owned').length > 0, { deadlineMs: longMs, describe: () => said(relay) })
  await runOn(database.url, 'alter table outbox_message rename to gone')
  await waitFor(() => relay.saw('relay.failed').length > 0, { deadlineMs: longMs, describe: () => said(relay) })
  expectSources(JSON.stringify(relay.saw('relay.failed')))
}, 300_000)

/** The stack names a source of ours, and a line of it in which there is code. */
const expectSources = (text: string): void => {
  const [, file = '', line] = /\/app\/((?:lib|sidecar|workers)\/[\w./-]+\.ts):(\d+):\d+/.exec(text) ?? []
  expect(existsSync(join(root, file)) && file !== '', text).toBe(true)
  expect(readFileSync(join(root, file), 'utf8').split('\n')[Number(line) - 1]).toMatch(/\w/)
}

const said = ({ lines, faults }: Container): string =>
  [...faults, ...lines.map((line) => JSON.stringify(line))].join('\n')
