import { OutboxError } from '../../errors.ts'
import { readColumns } from '../../read-columns.ts'
import type { ControlSession } from '../own/control-session.ts'

/**
 * Notices that the ids of `outbox_message` went back while the session lives: the table was restored to an older state
 * under it, or emptied with `restart identity`. New rows then lie below what was read, where only the looks below the floor
 * would find them.
 */
export type IdWatch = {
  /** Whether they did, by the columns of `idsTable`; `cursor` is what the cursor was when the statement was sent. */
  wentBack: (row: unknown, cursor: bigint) => boolean
  /** The sequence by its number, and the file that it had: what `areSameIds` takes. */
  first: readonly [sequence: string | null, file: string | null]
}

/**
 * To be called before the session reads any row.
 *
 * @throws OutboxError `sequence_unordered`.
 */
export const watchIds = async (session: ControlSession): Promise<IdWatch> => {
  const { rows } = await session.query({ text: firstSql }, [])
  const { sequence, name, file, fault } = readColumns(rows[0], 'the sequence of ids', {
    sequence: 'string?',
    name: 'string?',
    file: 'string?',
    fault: 'string?',
  })
  if (fault !== null) {
    throw new OutboxError(
      'sequence_unordered',
      `the sequence ${name} ${fault}, so ids would not go up and keys would lose their order: expected ` +
        `"alter sequence ${name} increment 1 cache 1 no cycle"`,
    )
  }
  return createIdWatch(sequence, file)
}

export const createIdWatch = (sequence: string | null, firstFile: string | null): IdWatch => ({
  first: [sequence, firstFile],
  wentBack: (row, cursor) => {
    const { file, last } = parseIds(row)
    // What was read had been drawn before, so only of a sequence that was set back the last value is lower.
    return file !== firstFile || (last !== null && BigInt(last) < cursor)
  },
})

const parseIds = (row: unknown) => readColumns(row, 'the sequence of ids', { file: 'string?', last: 'string?' })

/** Gives the session up, for nothing that was known by it holds any more. */
export const giveUpIds = (session: ControlSession): never => {
  session.giveUp('the ids of outbox_message went back')
  throw session.lost.reason
}

/** The same where the row of a statement that has `areSameIds` says that it found others. */
export const expectSameIds = (session: ControlSession, row: unknown): void => {
  if (!readColumns(row, 'a statement that goes by ids', { same: 'boolean' }).same) giveUpIds(session)
}

const sequenceOfIds = `pg_get_serial_sequence('outbox_message', 'id')::regclass`

// The catalog is for everybody to read. A session draws as many ids at once as the cache holds, and uses them up while
// others commit with higher ones. Altered again, the sequence has another file, for which Postgres forgets what was drawn.
const firstSql = `
  select sequence::oid::text as sequence, sequence::text as name, pg_relation_filenode(sequence)::text as file,
    case
      when seqcache > 1 then 'has a cache of ' || seqcache
      when seqincrement < 1 then 'has an increment of ' || seqincrement
      when seqcycle then 'begins anew at its end' end as fault
  from (select ${sequenceOfIds} as sequence) as sequence left join pg_sequence on seqrelid = sequence`

/**
 * For a statement that takes rows by their ids: whether those are the same rows as before, by the two of `IdWatch.first`.
 * The statement has the table's lock by then, which a `truncate` waits for.
 */
export const areSameIds = (sequence: string, file: string): string =>
  `pg_relation_filenode(${sequence}::oid)::text is not distinct from ${file}::text`

/**
 * A table for a statement: the file of the sequence of ids, another one since that was begun or made anew, which can be
 * seen without any right to it; and the last id that was drawn, which tells of a `setval`, for those who may read it.
 *
 * Locks: the sequence, as whoever draws an id does.
 */
export const idsTable = `
      select pg_relation_filenode(sequence)::text as file,
        case when has_sequence_privilege(sequence, 'select') then pg_sequence_last_value(sequence)::text end as last
      from (select ${sequenceOfIds} as sequence) as sequence`
