import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { BenchOptions } from './options.ts'
import { median, round } from './report/statistics.ts'
import { table } from './report/table.ts'
import type { Report } from './report/verdict.ts'
import type { Place } from './services/open-place.ts'
import { bundledTick } from './services/tick-program.ts'

const holds = { ms: 1_000, rssMiB: 120 }

/** Ticks of each kind a round: the first of all finds neither Postgres nor the disk warm, and is not counted. */
const ticksARound = 5

const manyItems = 100_000

type Figures = { ms: number; rssMiB: number }

/**
 * What does a tick cost, from the start of its program to its exit? The program as it ships, with one item and in turns with
 * 100,000 of 60 bytes. There is no control: the numbers to hold are those of the tick with one item.
 */
export const benchTick = async (place: Place, { rounds }: BenchOptions): Promise<Report> => {
  const program = await bundledTick()
  const [one, many] = [await saveTick(place, 1), await saveTick(place, manyItems)]
  await fire(program, place, one)
  const measured: { one: Figures[]; many: Figures[] } = { one: [], many: [] }
  for (let turn = 0; turn < rounds; turn++) {
    for (let tick = 0; tick < ticksARound; tick++) measured.one.push(await fire(program, place, one))
    measured.many.push(await fire(program, place, many))
  }
  const [ours, ofMany] = [mediansOf(measured.one), mediansOf(measured.many)]
  const held = ours.ms <= holds.ms && ours.rssMiB <= holds.rssMiB
  return {
    table: table(
      ['a tick of', 'ms, start to exit', 'MiB at most'],
      [
        ['1 item', ours.ms, ours.rssMiB],
        [`${manyItems.toLocaleString('en-US')} items`, ofMany.ms, ofMany.rssMiB],
        ['to hold', holds.ms, holds.rssMiB],
      ],
    ),
    verdict: {
      ours: ours.ms,
      control: null,
      ratio: null,
      hold: holds.ms,
      held,
      figures: ours,
      many: ofMany,
      holds,
      rounds,
    },
  }
}

const mediansOf = (all: readonly Figures[]): Figures => ({
  ms: round(median(all.map(({ ms }) => ms)), 0),
  rssMiB: round(median(all.map(({ rssMiB }) => rssMiB)), 1),
})

/** A workflow whose tick gives out so many items to a function that nobody serves; resolves to its step. */
const saveTick = async ({ db }: Place, items: number): Promise<string> => {
  const [id, stepId, nextId] = [randomUUID(), randomUUID(), randomUUID()]
  const payload = Array.from({ length: items }, (_, n) => ({ segmentationId: n, name: 'a segmentation of some leads' }))
  await db.query(`insert into workflow (id, name, automation_type, version) values ($1, $2, 'step', 1)`, [id, id])
  await db.query(
    `insert into workflow_step (id, version, workflow_id, position, name, function_name, config, output_type, next_step_id)
     values ($1, 1, $3, 1, 'next', 'Bench.next', '{}', null, null),
            ($2, 1, $3, 0, 'tick', 'CronJob', $4, 'multiple', $1)`,
    [nextId, stepId, id, JSON.stringify({ schedule: '* * * * *', payload })],
  )
  return stepId
}

const fire = async (program: readonly string[], { databaseUrl, lane }: Place, stepId: string): Promise<Figures> => {
  const startedMs = performance.now()
  const child = spawn(process.execPath, program, {
    env: {
      DATABASE_URL: databaseUrl,
      ESTEIRA_LANE: lane.name,
      ESTEIRA_STEP_ID: stepId,
      ESTEIRA_TICK_KEY: randomUUID(),
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const exited = once(child, 'exit')
  const watched = watchPeak(child.pid ?? 0)
  const [code] = await exited
  const ms = performance.now() - startedMs
  const rssMiB = (await watched.stop()) / 1_024
  if (code !== 0) throw new Error(`a tick ended with ${String(code)}`)
  return { ms, rssMiB }
}

/** The kernel keeps the most memory that a process ever had, in KiB, until it ends: so it is read until then. */
const watchPeak = (pid: number) => {
  let peak = 0
  const look = async (): Promise<void> => {
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
    peak = Math.max(peak, Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0))
  }
  let looking = Promise.resolve()
  const timer = setInterval(() => {
    looking = look()
  }, 10)
  return {
    stop: async () => {
      clearInterval(timer)
      await looking
      return peak
    },
  }
}
