import { readColumns } from '../../read-columns.ts'
import type { ControlSession } from '../own/control-session.ts'

/**
 * Whether there is anything in the lane that a relay which is to end would wait for RabbitMQ with: a row, also one that was
 * refused, or a scheduled one that is due.
 *
 * Locks nothing.
 */
export const holdsRows = async (session: ControlSession, lane: number): Promise<boolean> => {
  const { rows } = await session.query(holdsRowsSql, [lane])
  return readColumns(rows[0], 'the look for rows', { holds: 'boolean' }).holds
}

/**
 * Whether the lane has a scheduled row that is due: one whose key a writer has, or that somebody has locked, is moved when
 * they end.
 *
 * Locks nothing.
 */
export const holdsDue = async (session: ControlSession, lane: number): Promise<boolean> => {
  const { rows } = await session.query(holdsDueSql, [lane])
  return readColumns(rows[0], 'the look for what is due', { holds: 'boolean' }).holds
}

const due = 'exists (select from outbox_scheduled where lane = $1 and available_at <= now())'

// It may have to pass many deleted rows that some session's snapshot keeps.
const holdsRowsSql = {
  name: 'holds_rows',
  mayTakeLong: true,
  text: `
    select exists (select from outbox_message where lane = $1) or ${due} as holds`,
}

const holdsDueSql = { name: 'holds_due', mayTakeLong: true, text: `select ${due} as holds` }
