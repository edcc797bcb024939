import type { Connections } from '../connections.ts'
import { toParameters } from '../parameters.ts'
import { type ResultLimit, within } from '../result-limit.ts'
import { checkColumns, checkCount } from '../run-all.ts'
import type { Call, Statement } from '../run-statement.ts'
import { openSession } from '../session.ts'
import { openStatementSpan } from '../statement-span.ts'
import { underStatement } from '../under-statement.ts'
import { type Batch, openCursor } from './open-cursor.ts'

/** Rows that are asked for at first, when nobody knows how large they are. */
const firstRows = 20

/** Rows at a time, at most: as many as go into a page. */
const mostRows = 2_000

/** What rows that are asked for together are to have, bytes. A way to the server is short beside reading that much. */
const batchBytes = 256 * 1024

/**
 * Runs a statement that only reads, and gives its rows as they are asked for: all of one moment, and few at a time. The
 * server refuses it if it would write. `limit`: how large they may be, null where none goes on; where each row does by itself
 * whoever takes them may be slow. `mostMs`: when the signal is aborted
 * at the latest, and soon after that the server lets go of the rows by itself.
 *
 * @throws what went wrong, or the signal's reason when it is aborted.
 */
export async function* readRows(
  connections: Connections,
  statement: Statement,
  call: Call,
  { limit, mostMs }: { limit: ResultLimit | null; mostMs: number },
): AsyncGenerator<Batch> {
  const isStream = limit?.of === 'row'
  const how = { begin: 'begin read only', writes: false, signal: call.signal, isStream, mostMs }
  const session = await openSession(connections, statement.connection, how)
  const endSpan = openStatementSpan(statement, call.place)
  let rows = 0
  let failure: { error: unknown } | null = null
  try {
    const [values = []] = await toParameters(session.client, statement.sql, [call.values])
    const cursor = openCursor(session.client, statement.sql, values, limit)
    let isReading = true
    // Whoever has the rows in hand may not come back: nothing is under way then that a cancel would end.
    const leave = (): void => {
      if (isReading) return
      cursor.leave()
      void session.abandon()
    }
    call.signal.addEventListener('abort', leave)
    try {
      for (let size = firstRows; ;) {
        const batch = await underStatement(cursor.read(size))
        checkColumns(statement, batch.columns)
        rows += batch.rows.length
        checkCount(statement, rows)
        isReading = false
        yield batch
        isReading = true
        call.signal.throwIfAborted()
        if (batch.isLast) break
        size = nextSize(size, batch)
      }
    } finally {
      call.signal.removeEventListener('abort', leave)
      cursor.leave()
    }
    await session.commit()
  } catch (error) {
    failure = { error }
    call.signal.throwIfAborted()
    throw error
  } finally {
    endSpan(failure ?? { rows })
    await session.abandon()
  }
}

/** As many as have that many bytes, if they go on as they were, and not suddenly more. */
export const nextSize = (size: number, { rows, bytes }: Pick<Batch, 'rows' | 'bytes'>): number => {
  const fitting = Math.floor((batchBytes * rows.length) / Math.max(1, bytes))
  return Math.max(1, Math.min(fitting, 4 * size, mostRows))
}

/**
 * All rows of a result that is one value, up to so many bytes; null for a statement that can give none. With null for the
 * bytes the rows are read, and none is kept.
 */
export const collectRows = async (
  batches: AsyncIterable<Batch>,
  mostBytes: number | null,
): Promise<unknown[] | null> => {
  const collected: unknown[] = []
  const fits = mostBytes === null ? null : within({ of: 'result', mostBytes })
  for await (const { rows, columns } of batches) {
    if (columns.length === 0) return null
    if (fits === null) continue
    for (const row of rows) {
      fits(Buffer.byteLength(JSON.stringify(row)))
      collected.push(row)
    }
  }
  return collected
}
