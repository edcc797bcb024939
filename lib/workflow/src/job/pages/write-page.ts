import { type Queryable, queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'
import { defaultWindow } from '../../run/settle/window.ts'
import { statusesBefore } from '../transitions.ts'
import { jsonOf } from '../unit/json-of.ts'
import { type By, writeBrought, type Written } from '../unit/write-unit.ts'
import { childrenOfPage, type PageFate, type PageOfJob } from './page-of-job.ts'

/**
 * Writes a page of a job that can go on behind it, in the transaction that the entity manager is in: how many children
 * the job has, the cursor, the children, their messages and the counters. The job's attempts begin anew with it.
 *
 * Locks: the job, before anything else, by compare-and-set on `(id, seq, claim)` and on how many children it has; then as
 * every unit of work.
 */
export const writePage = async (
  em: EntityManager,
  page: PageOfJob,
  cursor: unknown,
  { lane, window = defaultWindow }: By,
): Promise<{ fate: PageFate } & Omit<Written, 'won'>> => {
  const { job, items } = page
  const tx = queryable(em)
  const key = [job.id, job.seq, job.claim, job.emitted, items.length]
  const { rows } = await tx.query(moveSql, [...key, jsonOf(cursor), statusesBefore('start')])
  if (rows.length === 1) {
    return { fate: 'written', ...(await writeBrought(em, new Set(), childrenOfPage(page), { lane, window })) }
  }
  return { fate: await fateOf(tx, page), toSettle: [], created: [] }
}

const moveSql = `
  update workflow_job set emitted = $4::int + $5::int, cursor = $6::jsonb, attempt = 0, beat_at = now()
  where id = $1 and seq = $2 and claim = $3 and emitted = $4 and status = any ($7)
  returning id`

/** Nobody but the holder of the claim moves `emitted`, and one page at a time: so what is there is this page. */
const fateOf = async (tx: Queryable, { job, items }: PageOfJob): Promise<PageFate> => {
  const { rows } = await tx.query(
    `select emitted from workflow_job where id = $1 and seq = $2 and claim = $3 and status = any ($4)`,
    [job.id, job.seq, job.claim, statusesBefore('start')],
  )
  const [found] = emittedRows.parse(rows)
  return found?.emitted === job.emitted + items.length ? 'written' : 'lost'
}

const emittedRows = z.array(z.object({ emitted: z.int() }))
