import type { ClientBase, Connection, FieldDef } from 'pg'
import utils from 'pg/lib/utils.js'
import { type Column, columnsOf, readRow } from '../columns.ts'
import { nothingToCopy } from '../errors.ts'

/**
 * Rows that came together, how many bytes the server sent for them, and the names of their columns: none for a statement
 * that can give no rows.
 */
export type Batch = { rows: unknown[]; bytes: number; columns: readonly string[]; isLast: boolean }

/** What a statement gives, piece by piece. */
export type Cursor = {
  /** The next rows, so many at most; with the last of them the statement is done. One call at a time. */
  read: (most: number) => Promise<Batch>
  /** Frees the session of a statement that is not done. What is being read is not waited for. */
  leave: () => void
}

/**
 * Runs a statement of which the server gives as many rows as it is asked for, all of one moment. Its session does nothing
 * else until it is done. (pg-cursor would end the process here: on sessions of ours, which send without waiting for
 * answers, and on a COPY.)
 */
export const openCursor = (client: ClientBase, sql: string, values: readonly unknown[]): Cursor => {
  const bound = values.map(utils.prepareValue)
  let connection: Connection | null = null
  let columns: Column[] = []
  let [rows, bytes]: [unknown[], number] = [[], 0]
  let waiting: PromiseWithResolvers<Batch> | null = null
  let failure: { error: unknown } | null = null
  let isDone = false

  const answer = (): void => {
    const asked = waiting
    waiting = null
    if (failure !== null) asked?.reject(failure.error)
    else asked?.resolve({ rows, bytes, columns: columns.map(({ name }) => name), isLast: isDone })
    ;[rows, bytes] = [[], 0]
  }

  const finish = (): void => {
    isDone = true
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
        rows.push(readRow(columns, fields))
      } catch (error) {
        // Nobody but the process would hear of it.
        failure ??= { error }
      }
    },
    handlePortalSuspended: answer,
    handleCommandComplete: finish,
    handleEmptyQuery: finish,
    // Of a COPY: what the server sends is not passed on, and what it wants to be sent does not come.
    handleCopyData: () => undefined,
    handleCopyInResponse: (opened: Connection) => {
      failure ??= { error: nothingToCopy() }
      opened.stream.destroy()
    },
    handleReadyForQuery: answer,
    handleError: (error: unknown) => {
      failure ??= { error }
      answer()
      finish()
    },
  })
  return {
    read: (most) => {
      const asked = Promise.withResolvers<Batch>()
      waiting = asked
      if (failure !== null || isDone) answer()
      else {
        connection?.execute({ portal: '', rows: String(most) }, true)
        connection?.flush()
      }
      return asked.promise
    },
    leave: () => {
      if (!isDone) finish()
    },
  }
}
