import { OutboxError } from '../../errors.ts'
import { registerLane } from '../../lane/register-lane.ts'
import type { LaneName } from '../lane/owned-lane.ts'
import type { ControlSession } from './control-session.ts'

/** The lane with this name, which is registered as a pod's if there is none. */
export const nameLane = async (session: ControlSession, name: string): Promise<LaneName> => {
  const db = { query: (text: string, values: unknown[]) => session.query({ text }, values) }
  const lane = await registerLane(db, name)
  const { rows } = await session.query({ text: laneNameSql }, [lane])
  return parseLaneName(rows[0])
}

export const parseLaneName = (row: unknown): LaneName => {
  if (
    typeof row === 'object' &&
    row !== null &&
    'lane' in row &&
    typeof row.lane === 'number' &&
    'name' in row &&
    typeof row.name === 'string' &&
    'kind' in row &&
    (row.kind === 'pod' || row.kind === 'key' || row.kind === 'always') &&
    'fence' in row &&
    typeof row.fence === 'string'
  ) {
    return { lane: row.lane, name: row.name, kind: row.kind, fence: row.fence }
  }
  throw new OutboxError('row_invalid', 'outbox_lane has columns of other types than expected')
}

const laneNameSql = 'select id as lane, name, kind, fence from outbox_lane where id = $1'
