import { OutboxError } from '../../errors.ts'
import { findOrAdd, isLaneKind } from '../../lane/register-lane.ts'
import { readColumns } from '../../read-columns.ts'
import type { RegisteredLane } from '../lane/owned-lane.ts'
import type { ControlSession } from './control-session.ts'

/** The lane with this name, which is registered as a pod's if there is none. */
export const findOrAddLane = async (session: ControlSession, name: string): Promise<RegisteredLane> => {
  const db = { query: (text: string, values: unknown[]) => session.query({ text }, values) }
  const { id } = await findOrAdd(db, name, 'pod')
  const { rows } = await session.query({ text: findLaneSql }, [id])
  return parseLane(rows[0])
}

export const parseLane = (row: unknown): RegisteredLane => {
  const { lane, name, kind, fence } = readColumns(row, 'outbox_lane', {
    lane: 'number',
    name: 'string',
    kind: 'string',
    fence: 'string',
  })
  if (!isLaneKind(kind)) throw new OutboxError('row_invalid', `outbox_lane: the lane ${name} is of the kind ${kind}`)
  return { lane, name, kind, fence }
}

const findLaneSql = 'select id as lane, name, kind, fence from outbox_lane where id = $1'
