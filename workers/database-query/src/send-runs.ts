import type { ClientBase, Connection, FieldDef } from 'pg'
import utils from 'pg/lib/utils.js'
import { type Column, columnsOf, readRow } from './columns.ts'
import { DatabaseQueryError, nothingToCopy } from './errors.ts'

/** What a run of a statement gave, and the names of its columns: none for one that can give no rows. */
export type Given = { rows: unknown[]; columns: readonly string[] }

/** One run of a statement: what is bound to `$1`, `$2` ..., and what hears what it gave. */
type Run = { values: readonly unknown[]; given: Pick<PromiseWithResolvers<Given>, 'resolve' | 'reject'> }

/** The server did not look at a run, as one before it was refused. */
const passedOver = new Error('a run before it was refused')

/** What all runs together may give, bytes: it is in memory until their transaction has committed. */
const mostBytes = 64 * 1024 * 1024

/**
 * Runs a statement once for each list of values, in their order: parsed once, sent in one piece and with one sync, so that
 * after the first run which is refused the server looks at none. Sent as queries of `pg` each would ask for its columns
 * and for a sync of its own, which the server answers with a write to the socket; and one without values would be taken
 * for several statements, of which one could end the transaction.
 */
export const sendRuns = (client: ClientBase, sql: string, runs: readonly Run[]): void => {
  // Before anything is sent: what it throws would leave half of the runs with the server.
  const bound = runs.map(({ values }) => values.map(utils.prepareValue))
  let columns: Column[] = []
  let names: readonly string[] = []
  let rows: unknown[] = []
  let unreadable: { error: unknown } | null = null
  let bytes = 0
  let done = 0

  const finish = (): void => {
    const given = runs[done]?.given
    if (unreadable === null) given?.resolve({ rows, columns: names })
    else given?.reject(unreadable.error)
    rows = []
    unreadable = null
    done += 1
  }

  client.query({
    submit: (connection: Connection) => {
      connection.stream.cork()
      connection.parse({ name: '', text: sql, types: [] }, true)
      for (const [index, values] of bound.entries()) {
        connection.bind({ values }, true)
        // All runs have the columns of the first.
        if (index === 0) connection.describe({ type: 'P' }, true)
        connection.execute(null, true)
      }
      connection.sync()
      connection.stream.uncork()
    },
    handleRowDescription: ({ fields }: { fields: FieldDef[] }) => {
      columns = columnsOf(fields)
      names = fields.map(({ name }) => name)
    },
    handleDataRow: ({ length, fields }: { length: number; fields: (string | null)[] }) => {
      bytes += length
      try {
        if (bytes > mostBytes) throw tooMuch()
        if (unreadable === null) rows.push(readRow(columns, fields))
      } catch (error) {
        // Nobody but the process would hear of it.
        unreadable ??= { error }
      }
    },
    handleCommandComplete: finish,
    handleEmptyQuery: finish,
    // Of a COPY: what the server sends is not passed on, and what it wants to be sent does not come.
    handleCopyData: () => undefined,
    handleCopyInResponse: (connection: Connection) => {
      runs[done]?.given.reject(nothingToCopy())
      connection.stream.destroy()
    },
    handleReadyForQuery: () => undefined,
    handleError: (error: unknown) => {
      for (const [index, { given }] of runs.slice(done).entries()) given.reject(index === 0 ? error : passedOver)
      done = runs.length
    },
  })
}

/** @throws what a statement ends with that gives more than its transaction can keep. */
const tooMuch = (): DatabaseQueryError =>
  new DatabaseQueryError(
    'result_too_large',
    'config.sql gives more than 64 MiB, and may write: nothing is written. Let it give fewer rows, less of each, or none ' +
      'at all; what only reads may give any number of rows with config.mode "query"',
  )
