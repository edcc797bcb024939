import type { Queryable } from '@esteira/outbox'
import * as z from 'zod'
import type { Overlap } from '../cron/cron-job.ts'
import { WorkflowError } from '../errors.ts'

/**
 * Takes the workflow's row for a run that is to begin, so that nobody disables or deletes it before the run is there. Of
 * starts that look at what is open the second waits for the first, and then sees its run; others go on beside each other.
 *
 * Locks: the row, against saves as well, until the transaction ends. It is the first lock of its transaction.
 *
 * @throws WorkflowError `workflow_disabled` or `step_deleted`.
 */
export const lockWorkflow = async (tx: Queryable, workflowId: string, overlap: Overlap): Promise<void> => {
  const { rows } = await tx.query(overlap === 'allow' ? besideOthersSql : oneByOneSql, [workflowId])
  const [{ name, enabled, isDeleted }] = lockedRows.parse(rows)
  if (isDeleted) throw new WorkflowError('step_deleted', `workflow "${name}" was deleted`)
  if (!enabled) throw new WorkflowError('workflow_disabled', `workflow "${name}" is disabled`)
}

const workflowSql = `select name, enabled, deleted_at is not null as "isDeleted" from workflow where id = $1`
const besideOthersSql = `${workflowSql} for share`
const oneByOneSql = `${workflowSql} for no key update`

const lockedRows = z.tuple([z.object({ name: z.string(), enabled: z.boolean(), isDeleted: z.boolean() })])

/**
 * Does what a new run's `overlap` asks for, in the transaction that wrote its row; `skipped` if it must not begin, and
 * then the row says so. The others are only marked here: their cancel is carried on once this has committed.
 *
 * Locks: the rows of the open runs, in the order of their ids, as settling does.
 */
export const applyOverlap = async (
  tx: Queryable,
  run: { id: string; workflowId: string },
  overlap: Overlap,
): Promise<'begun' | 'skipped'> => {
  if (overlap === 'allow') return 'begun'
  if (overlap === 'cancel') {
    await tx.query(cancelOthersSql, [run.workflowId, run.id])
    return 'begun'
  }
  const { rows } = await tx.query(skipSql, [run.workflowId, run.id])
  return skippedRows.parse(rows).length === 0 ? 'begun' : 'skipped'
}

const cancelOthersSql = `
  with open as (
    select id from workflow_run
    where workflow_id = $1 and id <> $2 and status = 'running'
    order by id
    for no key update
  )
  update workflow_run run set status = 'cancelling' from open where run.id = open.id and run.status = 'running'`

const skipSql = `
  update workflow_run set status = 'skipped', finished_at = now()
  where id = $2 and exists (
    select from workflow_run other
    where other.workflow_id = $1 and other.id <> $2 and other.status in ('running', 'cancelling')
  )
  returning id`

const skippedRows = z.array(z.object({ id: z.string() }))
