import { readColumns } from '../../read-columns.ts'
import type { ControlSession } from '../own/control-session.ts'

/**
 * Notices that the ids of `outbox_message` went back while the session lives: the table was restored to an older state
 * under it, or emptied with `restart identity`. New rows then lie below what was read, where only each minute's full read
 * looks for them.
 */
export type IdWatch = {
  /** Whether they did, by the columns of `idsTable`; `cursor` is what the cursor was when the statement was sent. */
  wentBack: (row: unknown, cursor: bigint) => boolean
}

/** To be called before the session reads any row. */
export const watchIds = async (session: ControlSession): Promise<IdWatch> => {
  const { rows } = await session.query({ text: idsTable }, [])
  return createIdWatch(parseIds(rows[0]).file)
}

export const createIdWatch = (firstFile: string | null): IdWatch => ({
  wentBack: (row, cursor) => {
    const { file, last } = parseIds(row)
    // What was read had been drawn before, so only of a sequence that was set back the last value is lower.
    return file !== firstFile || (last !== null && BigInt(last) < cursor)
  },
})

const parseIds = (row: unknown) => readColumns(row, 'the sequence of ids', { file: 'string?', last: 'string?' })

/**
 * A table for a statement: the file of the sequence of ids, another one since that was begun or made anew, which can be
 * seen without any right to it; and the last id that was drawn, which tells of a `setval`, for those who may read it.
 *
 * Locks: the sequence, as whoever draws an id does.
 */
export const idsTable = `
      select pg_relation_filenode(sequence)::text as file,
        case when has_sequence_privilege(sequence, 'select') then pg_sequence_last_value(sequence)::text end as last
      from (select pg_get_serial_sequence('outbox_message', 'id')::regclass as sequence) as sequence`
