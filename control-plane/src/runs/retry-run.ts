import { heldText, retryRun } from '@esteira/workflow'
import type { EntityManager } from '@mikro-orm/postgresql'
import { busy } from '../busy.ts'
import { ControlPlaneError } from '../errors.ts'
import type { ApiContext } from '../http/api-context.ts'

/**
 * Sends all failed jobs of a run again.
 *
 * @throws ControlPlaneError `run_unknown`, `run_cancelled` or `run_busy`, behind which another call sends what is left.
 */
export const retryRunNow = async (em: EntityManager, id: string, { lane }: Pick<ApiContext, 'lane'>): Promise<void> => {
  const retried = await retryRun(em, id, { lane })
  if (typeof retried === 'object' && 'heldBy' in retried) throw busy('run_busy', heldText(`run ${id}`, retried))
  if (retried === 'run unknown') throw new ControlPlaneError('run_unknown', `There is no run ${id}.`)
  if (retried === 'run cancelled') {
    throw new ControlPlaneError('run_cancelled', `Run ${id} is cancelled: nothing of it is sent again.`)
  }
}
