import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import type { Span } from '@opentelemetry/api'
import * as z from 'zod'
import { WorkflowError } from '../../errors.ts'
import type { JobOnBelt } from '../held-job.ts'
import { statusesBefore } from '../transitions.ts'
import { insertChildren } from '../unit/write-children.ts'
import { childrenOfPage, type PageFate, type PageOfJob } from './page-of-job.ts'

/**
 * Writes a page of a job that cannot go on behind it, in the transaction that the entity manager is in: its children are
 * hidden under the job's claim until all are there, and count nowhere. `firstItem` is the place of the first of them.
 *
 * Locks: the job, by compare-and-set, so that whoever takes it over waits for this, and nothing comes behind.
 */
export const hidePage = async (
  em: EntityManager,
  page: PageOfJob,
  firstItem: number,
): Promise<{ fate: PageFate; created: readonly Span[] }> => {
  const tx = queryable(em)
  const { job } = page
  const held = await tx.query(holdSql, [job.id, job.seq, job.claim, statusesBefore('start')])
  if (held.rows.length === 0) return { fate: 'lost', created: [] }
  const children = childrenOfPage({ ...page, job: { ...job, emitted: firstItem } })
  const ids = children.map(({ id }) => id)
  const noted = await tx.query(noteSql, [job.id, job.claim, firstItem, ids])
  // It is there already, when the answer to its commit was lost.
  if (noted.rows.length === 0) return { fate: 'written', created: [] }
  await insertChildren(
    tx,
    children.map((child) => ({ ...child, status: 'hidden' })),
  )
  return { fate: 'written', created: children.map((child) => child.created).filter((span) => span.isRecording()) }
}

const holdSql = `
  select from workflow_job where id = $1 and seq = $2 and claim = $3 and status = any ($4)
  for no key update`

const noteSql = `
  insert into workflow_hidden_page (parent_id, claim, first_item, job_ids) values ($1, $2, $3, $4)
  on conflict do nothing
  returning claim`

/**
 * Says that all pages of a job are there: its function is not run again, and its children under this claim are to be
 * accepted, by whoever holds the job then.
 *
 * @throws WorkflowError `output_rejected` when the job has children already, which its function gave when it had a cursor.
 */
export const sealPages = async (em: EntityManager, job: JobOnBelt): Promise<PageFate> => {
  const values = [job.id, job.seq, job.claim, statusesBefore('start')]
  const { rows } = await queryable(em).query(sealSql, values)
  const [sealed] = sealedRows.parse(rows)
  if (sealed === undefined) return 'lost'
  if (sealed.emitted > 0) {
    const message = `${sealed.emitted} items of the job went on with a cursor, and its function gives none any more`
    throw new WorkflowError('output_rejected', message)
  }
  return 'written'
}

const sealSql = `
  update workflow_job set accepted = $3
  where id = $1 and seq = $2 and claim = $3 and status = any ($4)
  returning emitted`

const sealedRows = z.array(z.object({ emitted: z.int() }))
