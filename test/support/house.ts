import { randomInt } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { holdFirstFreePort, programs, type HouseSettings, type Program, tickProgram } from '@esteira/dev/house'
import {
  describeExit,
  openRegistry,
  startProcess,
  type ProcessEvent,
  type StartedProcess,
} from '@esteira/dev/processes'
import { defaultCredentials, startRdStation, type RunningRdStation } from '@esteira/dev/rd-station'
import { openBroker, type Broker } from './broker.ts'
import { cloneDatabase, emptyDatabase } from './databases.ts'
import { createHouseApi, type HouseApi } from './house-api.ts'
import { createRoles } from './roles.ts'
import { runOn } from './run-on.ts'
import { unconservedIn } from './unconserved.ts'
import { createVhost } from './vhosts.ts'

/** Every process of Esteira, real, under its role, on a database and a virtual host of a test's own. */
export type TestHouse = {
  api: HouseApi
  settings: HouseSettings
  /** The RD Station stand-in, in the test's own process. */
  rdStation: RunningRdStation
  broker: Broker
  /** Rows of the database of workflows. */
  sql: (text: string) => Promise<unknown[]>
  /** Rows of the target database, the connection `crm`. */
  crm: (text: string) => Promise<unknown[]>
  process: (name: string) => StartedProcess
  /** Runs the cron-job program for one tick of a step, to its end. */
  tick: (stepId: string, key: string) => Promise<void>
  /** Starts one more worker of the kind, with a relay of its own, as a second pod would be. */
  startSecond: (worker: string) => Promise<StartedProcess>
  /** @throws for what a test has lost, doubled or miscounted, whatever it was about; all is stopped then as well. */
  stop: () => Promise<void>
}

type TestHouseOptions = {
  leads: number
  cron: 'local' | 'off'
  /** Run on the empty target database before anything starts. */
  crmSql: string
}

/** Starts a house and waits until all of its processes are ready. */
export const startTestHouse = async ({ leads, cron, crmSql }: TestHouseOptions): Promise<TestHouse> => {
  const folder = mkdtempSync(join(tmpdir(), 'esteira-house-'))
  const registry = openRegistry(join(folder, 'processes.json'), folder)
  const events: ProcessEvent[] = []
  const [database, target, vhost, rdStation] = await Promise.all([
    cloneDatabase(),
    emptyDatabase(),
    createVhost(),
    startRdStation({ leads, rateLimitPerMinute: null }),
  ])
  const roles = await createRoles(database)
  await runOn(target.url, crmSql)
  const held = await holdFirstFreePort(randomInt(20_000, 32_000))
  const settings: HouseSettings = {
    databaseUrl: database.url,
    rabbitmqUrl: vhost.url,
    crmUrl: target.url,
    connections: {},
    secrets: {},
    rdStation: { baseUrl: rdStation.url, ...defaultCredentials },
    rateLimit: 0,
    adminToken: 'a-token-of-the-tests-that-is-long-enough',
    // Not one that the system chooses: a control plane that was killed must come back where it was.
    port: held.port,
    cron,
    logLevel: 'info',
  }
  const started = new Map<string, StartedProcess>()
  const launch = (program: Program, restart: boolean): StartedProcess =>
    startProcess({
      ...program,
      inherit: process.env,
      logFile: join(folder, `${program.name.replaceAll(' ', '-')}.log`),
      registry,
      observe: (event) => events.push(event),
      restart,
    })
  const as = (role: string, program: Program): Program => ({
    ...program,
    env: { ...program.env, DATABASE_URL: roles.urlFor(role) },
  })
  const start = async (program: Program): Promise<void> => {
    const starting = launch(program, true)
    started.set(program.name, starting)
    await starting.ready
  }
  const processOf = (name: string): StartedProcess => {
    const found = started.get(name)
    if (found === undefined) throw new Error(`no process "${name}", there are ${[...started.keys()].join(', ')}`)
    return found
  }
  const broker = await openBroker(vhost.url)
  const { controlPlane, workers, relays } = programs(settings)
  const all = [
    as('control_plane', controlPlane),
    ...workers.map((worker) => as('worker', worker)),
    ...relays.map((relay) => as('relay', relay)),
  ]
  await held.release()
  await Promise.all(all.map(start))
  return {
    api: createHouseApi(`http://127.0.0.1:${settings.port}`, settings.adminToken),
    settings,
    rdStation,
    broker,
    sql: (text) => runOn(database.url, text),
    crm: (text) => runOn(target.url, text),
    process: processOf,
    tick: async (stepId, key) => {
      const exit = await launch(as('cron_job', tickProgram(settings, stepId, key)), false).exited
      if (exit.kind !== 'ended' || exit.code !== 0) throw new Error(`the tick ${describeExit(exit)}`)
    },
    startSecond: async (worker) => {
      const [program, relay] = [worker, `relay of ${worker}`].map((name) => all.find((one) => one.name === name))
      if (program === undefined || relay === undefined) throw new Error(`there is no worker "${worker}"`)
      const lane = { ESTEIRA_LANE: `${worker}-2` }
      await Promise.all([
        start({ ...program, name: `${program.name} 2`, env: { ...program.env, ...lane } }),
        start({ ...relay, name: `${relay.name} 2`, env: { ...relay.env, ...lane } }),
      ])
      return processOf(`${worker} 2`)
    },
    stop: async () => {
      await Promise.all([...started.values()].map((one) => one.stop()))
      const unconserved = await unconservedIn(database.url)
      await Promise.all([broker.close(), rdStation.stop()])
      await Promise.all([database.drop(), target.drop(), vhost.drop()])
      await roles.drop()
      rmSync(folder, { recursive: true, force: true })
      if (unconserved.length > 0) throw new Error(`lost, doubled or miscounted: ${inspect(unconserved)}`)
    },
  }
}
