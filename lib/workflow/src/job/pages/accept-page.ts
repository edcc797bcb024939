import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'
import { defaultWindow } from '../unit/window.ts'
import type { HeldJob } from '../held-job.ts'
import { statusesBefore } from '../transitions.ts'
import { gatherMoves, moveCounters, runsToSettle } from '../unit/move-counters.ts'
import { insertWaiting } from '../unit/stage-jobs.ts'

/** What became of the next page of hidden children: how many it had, or that there is none, or the job is another's. */
export type Accepted =
  | { kind: 'accepted'; children: number; toSettle: readonly string[] }
  | { kind: 'none left' }
  | { kind: 'lost' }

/**
 * Stages the next page of the hidden children of a job whose function is done, in the transaction that the entity
 * manager is in, with the counters and how many children the job has.
 *
 * Which page is next is read behind the lock on the job: a session that was lost may still be at work in the server, with
 * the page before, as when it waits there for the counters. It is waited for, and this goes on behind it.
 *
 * Locks: the job, by compare-and-set; its hidden children, which nobody else touches; and the counters last.
 */
export const acceptPage = async (
  em: EntityManager,
  { id, seq, claim, runId, accepted }: HeldJob,
  { window = defaultWindow }: { window?: number },
): Promise<Accepted> => {
  const tx = queryable(em)
  const held = await tx.query(holdSql, [id, seq, claim, statusesBefore('start')])
  const [job] = heldRows.parse(held.rows)
  if (job === undefined) return { kind: 'lost' }
  const [page] = pageRows.parse((await tx.query(nextPageSql, [id, accepted])).rows)
  if (page === undefined) return { kind: 'none left' }
  const { firstItem } = page
  if (firstItem !== job.emitted) throw new Error(`job ${id} has ${job.emitted} children, and its next is ${firstItem}`)
  const children = page.jobIds.length
  await tx.query(moveSql, [id, children])
  await tx.query(`delete from workflow_hidden_page where parent_id = $1 and claim = $2 and first_item = $3`, [
    id,
    accepted,
    firstItem,
  ])
  const staged = await tx.query(stageSql, [page.jobIds, statusesBefore('accept')])
  const rows = childRows.parse(staged.rows)
  if (rows.length !== children) throw new Error(`of ${children} hidden children of job ${id} ${rows.length} are there`)
  await insertWaiting(
    tx,
    rows.map((row) => ({ ...row, runId })),
  )
  const moves = gatherMoves()
  for (const { id: waitsFrom, stepId } of rows) moves.add(runId, stepId, { staged: 1, waitsFrom })
  const moved = await moveCounters(tx, moves.all())
  return { kind: 'accepted', children, toSettle: runsToSettle(moved, window) }
}

const holdSql = `
  select emitted from workflow_job where id = $1 and seq = $2 and claim = $3 and status = any ($4)
  for no key update`

const nextPageSql = `
  select first_item as "firstItem", job_ids as "jobIds" from workflow_hidden_page
  where parent_id = $1 and claim = $2
  order by first_item
  limit 1`

const moveSql = `update workflow_job set emitted = emitted + $2::int, attempt = 0, beat_at = now() where id = $1`

const stageSql = `
  update workflow_job set status = 'staged' where id = any ($1::uuid[]) and status = any ($2)
  returning id, step_id as "stepId"`

const heldRows = z.array(z.object({ emitted: z.int() }))
const pageRows = z.array(z.object({ firstItem: z.int(), jobIds: z.array(z.string()) }))
const childRows = z.array(z.object({ id: z.string(), stepId: z.string() }))
