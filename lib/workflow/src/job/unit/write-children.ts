import type { Queryable } from '@esteira/outbox'
import type { Root } from '../../trace/begin-trace.ts'
import { type FinishedJob, placedOf } from '../held-job.ts'
import { type NewJob, newJob } from '../new-job.ts'
import type { JobStatus } from '../../model/job-status.ts'
import { jsonOf } from '../../payload/json-of.ts'

/** A job that another one's end brings about, and whose queue it goes into; `inherits`: with its parent's payload. */
export type Child = NewJob & Root & { functionName: string; inherits: boolean }

/**
 * The children of an attempt that ended: one an item, after those of its pages; one with the whole result or the input;
 * or none. Each is made when it is asked for, as there may be very many.
 */
export function* childrenOf({ job, ending, place }: FinishedJob): Generator<Child> {
  const placed = placedOf(ending)
  if (placed === null || placed.kind === 'output') return
  const { id: stepId, functionName } = placed.next
  const child = (payload: unknown, itemIndex: number): Child => ({
    ...newJob({ runId: job.runId, stepId, parentId: job.id, itemIndex, payload }, functionName, place),
    functionName,
    inherits: placed.kind === 'input',
  })
  switch (placed.kind) {
    case 'items':
      // A list may have holes, and each of them is an item.
      for (const [index, item] of placed.items.entries()) yield child(item, job.emitted + index)
      return
    case 'whole':
      yield child(placed.result, 0)
      return
    case 'input':
      yield child(null, 0)
  }
}

type WrittenChild = Child & { status: JobStatus }

/**
 * So much text goes over in one statement, characters, but for a child that alone has more. A page or a piece of a result
 * may have hundreds of items of a megabyte: both sides would hold them all at once, and neither takes more than a gigabyte.
 */
const mostOfStatement = 4 * 1024 * 1024

/** Writes jobs at the places that they were given, in one statement unless they are large. JSON's null is SQL's. */
export const insertChildren = async (tx: Queryable, children: readonly WrittenChild[]): Promise<void> => {
  for (const rows of listsOf(children)) await tx.query(insertChildrenSql, [rows])
}

function* listsOf(children: readonly WrittenChild[]): Generator<string> {
  let rows: string[] = []
  let length = 0
  for (const child of children) {
    const row = jsonOf(rowOf(child))
    if (rows.length > 0 && length + row.length > mostOfStatement) {
      yield `[${rows.join(',')}]`
      rows = []
      length = 0
    }
    rows.push(row)
    length += row.length
  }
  if (rows.length > 0) yield `[${rows.join(',')}]`
}

const rowOf = ({ id, runId, stepId, parentId, itemIndex, status, payload, traceparent, inherits }: WrittenChild) => ({
  id,
  run_id: runId,
  step_id: stepId,
  parent_id: parentId,
  item_index: itemIndex,
  status,
  payload,
  inherits,
  traceparent,
})

// As json and not jsonb, which would be parsed into a whole first: 21 us a row and not 35, of the server's CPU.
// An input that is passed on is copied from row to row: it is neither parsed nor printed again, and a function that
// changes its payload changes nothing for the next.
const insertChildrenSql = `
  insert into workflow_job (
    id, run_id, step_id, parent_id, item_index, status, payload, traceparent, enqueued_at, finished_at)
  select id, run_id, step_id, parent_id, item_index, status,
         case when inherits then (
                select parent.payload from workflow_job parent
                where parent.id = child.parent_id and parent.run_id = child.run_id)
              else payload end,
         traceparent,
         case when status = 'queued' then now() end,
         case when status = 'cancelled' then clock_timestamp() end
  from json_to_recordset($1::json) as child(
    id uuid, run_id uuid, step_id uuid, parent_id uuid, item_index int, status text, payload jsonb,
    inherits boolean, traceparent text)`
