import { type InsertsTask, leadTableSql } from './children/inserts.ts'
import { startJobProcess } from './children/start-job-child.ts'
import type { BenchOptions } from './options.ts'
import { median, ratioByRound, round } from './report/statistics.ts'
import { table } from './report/table.ts'
import type { Report } from './report/verdict.ts'
import type { Place } from './services/open-place.ts'

const hold = 0.7
const usualRows = 10_000
/** Rows that either process inserts before its clock begins: in its first second it would be measured while it is compiled. */
const warmUp = 20_000
/** As many as `Database.query` puts into a transaction at most. */
const group = 200

type Turn = { perSecond: number; cpuUs: number }

/**
 * How fast does `Database.query` insert single rows, each for a job of its own? The function by itself, without the engine
 * around it: config checked, ledger written, session looked at and reset, each commit on disk. The control is a loop over
 * `pg` with as many rows in a transaction, and nothing else. Both have inserted as many rows before.
 */
export const benchDatabaseQuery = async (place: Place, { rows: asked, rounds }: BenchOptions): Promise<Report> => {
  const rows = asked ?? usualRows
  const turns: Record<'database-query' | 'bare-inserts', Turn[]> = { 'database-query': [], 'bare-inserts': [] }
  await place.db.query(leadTableSql)
  const task: InsertsTask = { url: place.databaseUrl, rows, warmUp, group }
  for (let turn = 0; turn < rounds; turn += 1) {
    turns['bare-inserts'].push(await insertAll(place, 'bare-inserts', task))
    turns['database-query'].push(await insertAll(place, 'database-query', task))
  }
  const [ours, control] = [turns['database-query'], turns['bare-inserts']]
  const ratesOf = (some: readonly Turn[]) => some.map(({ perSecond }) => perSecond)
  const cpuOf = (some: readonly Turn[]) => round(median(some.map(({ cpuUs }) => cpuUs)), 1)
  const ratio = ratioByRound(ratesOf(ours), ratesOf(control))
  return {
    table: table(
      [`${rows.toLocaleString('en-US')} inserts`, 'rows/s', 'CPU us/row', 'ours to it'],
      [
        ['Database.query', round(median(ratesOf(ours))), cpuOf(ours), null],
        [`a bare loop, ${group} a transaction`, round(median(ratesOf(control))), cpuOf(control), round(ratio, 2)],
      ],
    ),
    verdict: {
      ours: round(median(ratesOf(ours))),
      control: round(median(ratesOf(control))),
      ratio: round(ratio, 3),
      hold,
      held: ratio >= hold,
      cpuUsPerRow: { ours: cpuOf(ours), control: cpuOf(control) },
      rows,
      group,
      rounds,
      byRound: {
        ours: ratesOf(ours).map((rate) => round(rate)),
        control: ratesOf(control).map((rate) => round(rate)),
      },
    },
  }
}

const insertAll = async ({ db, admin }: Place, program: string, task: InsertsTask): Promise<Turn> => {
  await db.query('truncate lead')
  await db.query('vacuum analyze lead')
  await admin.query('checkpoint')
  const child = startJobProcess(program, task, { runsUntilStopped: false })
  await child.ready
  child.go()
  const { ms, cpuUs } = await child.done
  await child.stop()
  const { rows } = await db.query<{ count: number }>('select count(*)::int as count from lead where id >= 0')
  if (rows[0]?.count !== task.rows) throw new Error(`${rows[0]?.count} rows are there, expected ${task.rows}`)
  return { perSecond: (task.rows / ms) * 1_000, cpuUs: cpuUs / task.rows }
}
