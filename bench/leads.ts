import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { ensureDatabase } from '@esteira/dev/stack'
import { type RunningRdStation, startRdStation } from '@esteira/dev/rd-station'
import { registerLane } from '@esteira/outbox'
import pg from 'pg'
import * as z from 'zod'
import { leadsTableSql } from './children/leads/task.ts'
import { startLeadsChild } from './children/start-leads-child.ts'
import type { BenchOptions } from './options.ts'
import { median, ratioByRound, round } from './report/statistics.ts'
import { table } from './report/table.ts'
import type { Report } from './report/verdict.ts'
import type { Place } from './services/open-place.ts'
import { readProcess } from './services/read-process.ts'
import { saveLeads } from './services/save-leads.ts'
import { readServers, timesBetween } from './services/server-times.ts'
import { startProgram } from './services/start-program.ts'
import { startSidecar } from './services/start-sidecar.ts'
import { bundledTick } from './services/tick-program.ts'

const hold = 1
export const usualLeads = 10_000
const lookMs = 20

/** What each side does best with, of those that were tried: ours with 100, 400 and 1,000. */
const inHand = { ours: 1_000, control: 500 }

/** The processes that carry a lead, in the order in which they do. */
const hops = ['getLeads', 'its relay', 'Database.query', 'relay of the tick', 'relay of Database.query'] as const

type Hop = (typeof hops)[number]

/** What the servers take of a lead, by what their processes are for, microseconds. */
type OfServers = ReadonlyMap<string, number>

export type Turn = { perSecond: number; cpuUs: Record<Hop, number>; servers: OfServers }

type ControlTurn = { perSecond: number; cpuUs: number; servers: OfServers }

/** Where both sides read and write. */
export type Ground = {
  place: Place
  rdStation: RunningRdStation
  crmUrl: string
  crm: pg.Client
  leads: number
  /** With which `node` runs the tick. */
  tickWords: readonly string[]
}

/**
 * From the tick's commit to the end of its run, by the database's clock: how many leads a second are read from the API
 * and inserted, each as a job of its own that goes through the outbox and RabbitMQ? With the workers and the tick as they
 * ship and a relay beside each. The control does the two tasks and nothing else, from the job's adding to the last
 * completion. Both have carried as many once before, so that what counts is what such processes do all day.
 */
export const benchLeads = async (place: Place, { rows, rounds }: BenchOptions): Promise<Report> => {
  const leads = rows ?? usualLeads
  const ours: Turn[] = []
  const controls: ControlTurn[] = []
  await onGround(place, leads, async (ground, tickId) => {
    for (let turn = 0; turn < rounds; turn += 1) {
      controls.push(await carryControl(ground))
      ours.push(await carryOurs(ground, tickId))
    }
  })
  return report(ours, controls, { leads, rounds })
}

/** Carries leads where there is all that they need, and clears it away; `tickId` is the step that begins them. */
export const onGround = async (
  place: Place,
  leads: number,
  carry: (ground: Ground, tickId: string) => Promise<void>,
): Promise<void> => {
  const rdStation = await startRdStation({ leads, rateLimitPerMinute: null })
  const crmUrl = await ensureDatabase(place.databaseUrl, `${place.queue}_crm`)
  const crm = new pg.Client(crmUrl)
  await crm.connect()
  await crm.query(leadsTableSql)
  const ground = { place, rdStation, crmUrl, crm, leads, tickWords: await bundledTick() }
  try {
    await carry(ground, await saveLeads(place))
  } finally {
    await crm.end()
    await place.admin.query(`drop database ${pg.escapeIdentifier(`${place.queue}_crm`)} with (force)`)
    await rdStation.stop()
    for (const queue of ['RdStation.getLeads', 'Database.query']) await place.channel.deleteQueue(queue)
  }
}

/** `env` is what all its processes have beside their settings. */
export const carryOurs = async (ground: Ground, tickId: string, env: Record<string, string> = {}): Promise<Turn> => {
  const { place, rdStation, crmUrl, leads } = ground
  const { clientId, clientSecret, refreshToken } = rdStation.credentials
  const common = { DATABASE_URL: place.databaseUrl, ESTEIRA_LOG_LEVEL: 'info', ...env }
  const laneOf = async (part: string) => {
    const name = `${place.lane.name}_${part}`
    return { id: await registerLane(place.db, name), name }
  }
  const [getLane, queryLane, tickLane] = [await laneOf('get'), await laneOf('query'), await laneOf('tick')]
  const lanes = [getLane, queryLane, tickLane]
  const relays = lanes.map((lane) => startSidecar({ ...place, lane }, env))
  await Promise.all(relays.map((relay) => relay.saw(({ event }) => event === 'relay.owned')))
  const belt = { ...common, RABBITMQ_URL: place.rabbitmqUrl }
  const get = await startProgram(
    'rd-station-get-leads',
    {
      ...belt,
      ESTEIRA_LANE: getLane.name,
      RDSTATION_BASE_URL: rdStation.url,
      RDSTATION_CLIENT_ID: clientId,
      RDSTATION_CLIENT_SECRET: clientSecret,
      RDSTATION_REFRESH_TOKEN: refreshToken,
      // As for the control, which knows of none.
      RDSTATION_RATE_LIMIT: '0',
    },
    { untilReady: true },
  )
  const query = await startProgram(
    'database-query',
    {
      ...belt,
      ESTEIRA_LANE: queryLane.name,
      ESTEIRA_CONNECTION_CRM: crmUrl,
      ESTEIRA_PREFETCH: String(inHand.ours),
    },
    { untilReady: true },
  )
  const [getRelay, queryRelay, tickRelay] = relays.map(({ pid }) => pid)
  const pids = [get.pid, getRelay, query.pid, tickRelay, queryRelay]
  const carry = async (): Promise<number> => {
    const key = randomUUID()
    const tick = await startProgram(
      'cron-job',
      { ...common, ESTEIRA_LANE: tickLane.name, ESTEIRA_STEP_ID: tickId, ESTEIRA_TICK_KEY: key },
      { untilReady: false, words: ground.tickWords },
    )
    if ((await tick.ended) !== 0) throw new Error('the tick was not fired')
    return msOfRun(place, key)
  }
  await carry()
  await makeQuiet(ground)
  const before = await Promise.all(pids.map(cpuUsOf))
  const serversBefore = await readServers(place)
  const ms = await carry()
  const after = await Promise.all(pids.map(cpuUsOf))
  const servers = ofServers(timesBetween(serversBefore, await readServers(place)), leads)
  await Promise.all([get.stop(), query.stop()])
  await Promise.all(relays.map((relay) => relay.end('SIGTERM')))
  await expectLeads(ground)
  await place.db.query('truncate workflow_run, workflow_waiting, workflow_hidden_page, outbox_message cascade')
  const perLead = pids.map((_, index) => ((after[index] ?? 0) - (before[index] ?? 0)) / leads)
  const [getLeads = 0, itsRelay = 0, databaseQuery = 0, ofTick = 0, ofQuery = 0] = perLead
  return {
    perSecond: (leads / ms) * 1_000,
    servers,
    cpuUs: {
      getLeads,
      'its relay': itsRelay,
      'Database.query': databaseQuery,
      'relay of the tick': ofTick,
      'relay of Database.query': ofQuery,
    },
  }
}

const carryControl = async (ground: Ground): Promise<ControlTurn> => {
  const { place, rdStation, crmUrl, leads } = ground
  const { clientId, clientSecret, refreshToken } = rdStation.credentials
  const child = startLeadsChild({
    databaseUrl: place.databaseUrl,
    crmUrl,
    baseUrl: rdStation.url,
    credentials: { client_id: clientId, client_secret: clientSecret, refresh_token: refreshToken },
    leads,
    inHand: inHand.control,
  })
  await child.ready
  await makeQuiet(ground)
  const serversBefore = await readServers(place)
  child.go()
  const { ms, cpuUs } = await child.done
  const servers = ofServers(timesBetween(serversBefore, await readServers(place)), leads)
  await child.stop()
  await expectLeads(ground)
  return { perSecond: (leads / ms) * 1_000, cpuUs: cpuUs / leads, servers }
}

/** Sessions by whose they are, as their names tell: a worker's own have that of its lane. */
const sessionsOf: readonly (readonly [RegExp, string])[] = [
  [/: outbox (relay|bell) .*/, ': the relays'],
  [/: .*_get$/, ': getLeads'],
  [/: .*_query$/, ': Database.query'],
  [/: database-query$/, ': Database.query at its target'],
]

const ofServers = (times: ReadonlyMap<string, number>, leads: number): OfServers => {
  const perLead = new Map<string, number>()
  for (const [name, us] of times) {
    const kind = sessionsOf.reduce((text, [sessions, whose]) => text.replace(sessions, whose), name)
    perLead.set(kind, (perLead.get(kind) ?? 0) + us / leads)
  }
  return perLead
}

/** By the median over turns, without what takes next to nothing; the largest first. */
const medianServers = (turns: readonly { servers: OfServers }[]): [string, number][] => {
  const names = new Set(turns.flatMap(({ servers }) => [...servers.keys()]))
  return [...names]
    .map((name): [string, number] => [name, round(median(turns.map(({ servers }) => servers.get(name) ?? 0)), 1)])
    .filter(([, us]) => us >= 1)
    .toSorted(([, a], [, b]) => b - a)
}

const cpuUsOf = async (pid: number | undefined): Promise<number> =>
  pid === undefined ? 0 : (await readProcess(pid)).cpuMs * 1_000

/** Leaves the tables and the disk as quiet as they get. */
const makeQuiet = async ({ place, crm }: Ground): Promise<void> => {
  await crm.query('truncate leads')
  await place.db.query('vacuum analyze')
  await place.admin.query('checkpoint')
}

/** How long the run took, milliseconds, when it has ended; throws unless it has succeeded. */
const msOfRun = async ({ db }: Place, key: string): Promise<number> => {
  for (;;) {
    const { rows } = await db.query(
      `select status, (extract(epoch from finished_at - created_at) * 1000)::float8 as ms from workflow_run
       where idempotency_key = $1 and finished_at is not null`,
      [key],
    )
    const [run] = z.array(z.object({ status: z.string(), ms: z.number() })).parse(rows)
    if (run?.status === 'succeeded') return run.ms
    if (run !== undefined) throw new Error(`the run ${run.status}`)
    await delay(lookMs)
  }
}

/** Throws unless every lead is there: a rate at which some are lost is no answer. */
const expectLeads = async ({ crm, leads }: Ground): Promise<void> => {
  const { rows } = await crm.query('select count(*)::int as count from leads')
  const [{ count }] = z.tuple([z.object({ count: z.int() })]).parse(rows)
  if (count !== leads) throw new Error(`${count} leads are there, expected ${leads}`)
}

const rowOf = ([name, us]: [string, number]) => [`  ${name}`, null, us, null] as const

const report = (
  ours: readonly Turn[],
  controls: readonly ControlTurn[],
  { leads, rounds }: { leads: number; rounds: number },
): Report => {
  const [rates, controlRates] = [ours, controls].map((turns) => turns.map(({ perSecond }) => perSecond))
  const ratio = ratioByRound(rates ?? [], controlRates ?? [])
  const cpuOf = (hop: Hop) => median(ours.map(({ cpuUs }) => cpuUs[hop]))
  const controlCpu = median(controls.map(({ cpuUs }) => cpuUs))
  const [servers, controlServers] = [medianServers(ours), medianServers(controls)]
  return {
    table: table(
      [`${leads.toLocaleString('en-US')} leads`, 'leads/s', 'CPU us/lead', 'ours to it'],
      [
        [
          'ours',
          round(median(rates ?? [])),
          round(
            hops.reduce((sum, hop) => sum + cpuOf(hop), 0),
            1,
          ),
          null,
        ],
        ...hops.map((hop) => rowOf([hop, round(cpuOf(hop), 1)])),
        ...servers.map(rowOf),
        ['graphile-worker, batched', round(median(controlRates ?? [])), round(controlCpu, 1), round(ratio, 2)],
        ...controlServers.map(rowOf),
      ],
    ),
    verdict: {
      ours: round(median(rates ?? [])),
      control: round(median(controlRates ?? [])),
      ratio: round(ratio, 3),
      hold,
      held: ratio >= hold,
      cpuUsPerLead: {
        ...Object.fromEntries(hops.map((hop) => [hop, round(cpuOf(hop), 1)])),
        control: round(controlCpu, 1),
      },
      serversUsPerLead: { ours: Object.fromEntries(servers), control: Object.fromEntries(controlServers) },
      leads,
      inHand,
      rounds,
      byRound: {
        ours: (rates ?? []).map((rate) => round(rate)),
        control: (controlRates ?? []).map((rate) => round(rate)),
      },
    },
  }
}
