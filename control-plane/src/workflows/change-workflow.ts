import { heldText, unlessHeld } from '@esteira/workflow'
import type { EntityManager } from '@mikro-orm/postgresql'
import { busy } from '../busy.ts'
import { type ExpectedVersion, type HeldWorkflow, holdWorkflow } from './write-version.ts'

/**
 * Changes a workflow in a transaction, under its lock.
 *
 * @throws ControlPlaneError `workflow_unknown`, `version_stale`, `workflow_busy` when somebody else holds it locked, and
 * what `change` throws; nothing is written then.
 */
export const changeWorkflow = async <T>(
  em: EntityManager,
  id: string,
  expected: ExpectedVersion,
  change: (em: EntityManager, held: HeldWorkflow) => Promise<T>,
): Promise<T> => {
  const written = await unlessHeld(em, { workflowId: id }, async (em) => ({
    result: await change(em, await holdWorkflow(em, id, expected)),
  }))
  if ('heldBy' in written) {
    throw busy('workflow_busy', heldText(`workflow ${id}`, written))
  }
  return written.result
}
