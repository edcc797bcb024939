import type { ClientBase, Connection, FieldDef } from 'pg'
import utils from 'pg/lib/utils.js'
import { type Column, columnsOf, readRow } from '../columns.ts'
import { nothingToCopy } from '../errors.ts'
import { refuseText, type ResultLimit } from '../result-limit.ts'

/**
 * Rows that came together, how many bytes the server sent for them, and the names of their columns: none for a statement
 * that can give no rows.
 */
export type Batch = { rows: unknown[]; bytes: number; columns: readonly string[]; isLast: boolean }

/** What a statement gives, piece by piece. */
export type Cursor = {
  /**
   * The next rows, so many at most, and fewer once they have `enoughBytes`; with the last of them the statement is
   * done. One call at a time.
   */
  read: (most: number) => Promise<Batch>
  /** Breaks the session of a statement that is not done. What is being read is not waited for. */
  leave: () => void
}

/**
 * Runs a statement of which the server gives as many rows as it is asked for, all of one moment. Its session does
 * nothing else until it is done. How large rows are is known when they come: what was asked for and is too much stays
 * in the server, which can send no further while nobody reads from the link. (pg-cursor would end the process here: on
 * sessions of ours, which send without waiting for answers, and on a COPY.) Without a limit rows only count, and each is
 * null.
 */
export const openCursor = (
  client: ClientBase,
  sql: string,
  values: readonly unknown[],
  limit: ResultLimit | null,
): Cursor => {
  const bound = values.map(utils.prepareValue)
  let connection: Connection | null = null
  let columns: Column[] = []
  let [rows, bytes]: [unknown[], number] = [[], 0]
  let waiting: PromiseWithResolvers<Batch> | null = null
  let mostNow = 0
  let failure: { error: unknown } | null = null
  // The server is still at rows that it was asked for; it has said that all is done.
  let [isSending, isDone] = [false, false]

  const answer = (): void => {
    if (waiting === null) return
    const { resolve, reject } = waiting
    waiting = null
    if (failure !== null) reject(failure.error)
    else resolve({ rows, bytes, columns: columns.map(({ name }) => name), isLast: isDone })
    ;[rows, bytes] = [[], 0]
  }

  const ask = (most: number): void => {
    isSending = true
    connection?.execute({ portal: '', rows: String(most) }, true)
    connection?.flush()
  }

  const finish = (): void => {
    connection?.sync()
  }

  client.query({
    submit: (opened: Connection) => {
      connection = opened
      opened.stream.cork()
      opened.parse({ name: '', text: sql, types: [] }, true)
      opened.bind({ values: bound }, true)
      opened.describe({ type: 'P' }, true)
      opened.flush()
      opened.stream.uncork()
    },
    handleRowDescription: ({ fields }: { fields: FieldDef[] }) => {
      columns = columnsOf(fields)
    },
    handleDataRow: ({ length, fields }: { length: number; fields: (string | null)[] }) => {
      bytes += length
      try {
        if (limit !== null) refuseText(limit, length)
        rows.push(limit === null ? null : readRow(columns, fields))
      } catch (error) {
        // Nobody but the process would hear of it.
        failure ??= { error }
      }
      if (bytes < enoughBytes || waiting === null) return
      answer()
      // What came with this row is still told, and kept for the next call.
      connection?.stream.pause()
    },
    handlePortalSuspended: () => {
      isSending = false
      // All that was asked for may have been given before.
      if (rows.length === 0 && waiting !== null && failure === null) ask(mostNow)
      else answer()
    },
    handleCommandComplete: finish,
    handleEmptyQuery: finish,
    // Of a COPY: what the server sends is not passed on, and what it wants to be sent does not come.
    handleCopyData: () => undefined,
    handleCopyInResponse: (opened: Connection) => {
      failure ??= { error: nothingToCopy() }
      opened.stream.destroy()
    },
    handleReadyForQuery: () => {
      isDone = true
      answer()
    },
    handleError: (error: unknown) => {
      failure ??= { error }
      answer()
      finish()
    },
  })
  return {
    read: (most) => {
      const asked = Promise.withResolvers<Batch>()
      ;[waiting, mostNow] = [asked, most]
      connection?.stream.resume()
      if (failure !== null || isDone || (rows.length > 0 && !isSending)) answer()
      else if (!isSending) ask(most)
      return asked.promise
    },
    leave: () => {
      // What is held back would have to be read to its end.
      if (!isDone) connection?.stream.destroy()
    },
  }
}

/** Four times what is asked for where rows are alike, so that only sudden ones are held back. */
const enoughBytes = 1024 * 1024
