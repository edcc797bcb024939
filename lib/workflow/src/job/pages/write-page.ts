import { hash } from 'node:crypto'
import { type Queryable, queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'
import { firstOfEach } from '../../function/item-key.ts'
import { defaultWindow } from '../unit/window.ts'
import { statusesBefore } from '../transitions.ts'
import { jsonOf } from '../../payload/json-of.ts'
import { type By, writeBrought, type Written } from '../unit/write-unit.ts'
import { childrenOfPage, type PageOfJob } from './page-of-job.ts'

/**
 * What became of a page that others go on behind: with it the job has `emitted` children and had so many tries that have
 * failed, or it is another's.
 */
export type WrittenPage = { fate: 'written'; emitted: number; attempt: number } | { fate: 'lost' }

/**
 * Writes a page of a job that can go on behind it, in the transaction that the entity manager is in: how many children
 * the job has, the cursor, the children, their messages and the counters. Of items with keys those are left out whose key
 * the job has had before. The job's attempts begin anew with it, unless it brings the job no further: it has the cursor
 * that the job has, and no item that is new.
 *
 * @throws when there is no cursor, or when the job has other children than those behind which the page is to go: no page is
 * ever taken for another.
 *
 * Locks: the job, before anything else, by compare-and-set on `(id, seq, claim)` and on how many children it has; then the
 * keys, which nobody else touches; then as every unit of work.
 */
export const writePage = async (
  em: EntityManager,
  page: PageOfJob,
  cursor: unknown,
  { lane, window = defaultWindow }: By,
): Promise<WrittenPage & Omit<Written, 'won'>> => {
  const { job } = page
  const tx = queryable(em)
  // With SQL's null the function would begin at nothing again, and all that it gave be there twice.
  if (cursor === undefined || cursor === null) throw new Error(`a page of job ${job.id} came without its cursor`)
  const cursorJson = jsonOf(cursor)
  const { rows } = await tx.query(holdSql, [job.id, job.seq, job.claim, statusesBefore('start'), cursorJson])
  const [found] = heldRows.parse(rows)
  const nothing = { toSettle: [], created: [] }
  if (found === undefined) return { fate: 'lost', ...nothing }
  if (found.emitted !== job.emitted) {
    // Nobody but the holder of the claim moves `emitted`, and one page at a time: the commit of this one was not answered.
    if (isOf(page, found)) return { fate: 'written', emitted: found.emitted, attempt: found.attempt, ...nothing }
    throw new Error(
      `job ${job.id} has ${found.emitted} children, and whoever writes a page of it knows of ${job.emitted}`,
    )
  }
  const items = await newItems(tx, page)
  const emitted = job.emitted + items.length
  // Else a function that gives a sign of life and fails would be tried for ever, and never later than at first.
  const attempt = found.hasCursor && items.length === 0 ? found.attempt : 0
  await tx.query(moveSql, [job.id, emitted, cursorJson, attempt])
  const brought = await writeBrought(em, new Set(), childrenOfPage({ ...page, items }), { lane, window })
  return { fate: 'written', emitted, attempt, ...brought }
}

const holdSql = `
  select emitted, attempt, cursor is not distinct from $5::jsonb as "hasCursor" from workflow_job
  where id = $1 and seq = $2 and claim = $3 and status = any ($4)
  for no key update`

const heldRows = z.array(z.object({ emitted: z.int(), attempt: z.int(), hasCursor: z.boolean() }))

/** Whether a job is as this page leaves it. Of items with keys some may have been known, but not all: then none has moved. */
const isOf = ({ job, items, keys }: PageOfJob, found: z.infer<typeof heldRows>[number]): boolean => {
  const given = found.emitted - job.emitted
  const isAsMany = keys === undefined || keys === null ? given === items.length : given > 0 && given <= items.length
  return found.hasCursor && isAsMany
}

const moveSql = `
  update workflow_job set emitted = $2, cursor = $3::jsonb, attempt = $4, beat_at = now() where id = $1`

const newItems = async (tx: Queryable, { job, items, keys }: PageOfJob): Promise<unknown[]> => {
  if (keys === undefined || keys === null) return items
  const stored = keys.map((key) => hash('sha256', key).slice(0, 32))
  const { rows } = await tx.query(noteSql, [job.id, stored])
  return firstOfEach(items, stored, new Set(keyRows.parse(rows).map(({ key }) => key)))
}

const noteSql = `
  insert into workflow_item_key (parent_id, key) select $1::uuid, key from unnest($2::uuid[]) as given(key)
  on conflict do nothing
  returning replace(key::text, '-', '') as key`

const keyRows = z.array(z.object({ key: z.string() }))
