import type { ClientBase, Connection, FieldDef } from 'pg'
import utils from 'pg/lib/utils.js'
import { bindRuns } from './bind-runs.ts'
import { type Column, columnsOf, readRow } from './columns.ts'
import { nothingToCopy } from './errors.ts'

/**
 * What a run of a statement gave: its rows, as far as they are kept, how many there were, and the names of their columns,
 * none for one that can give no rows.
 */
export type Given = { rows: unknown[]; count: number; columns: readonly string[] }

/** How a run ended: with what it gave, or with what was thrown. */
export type Ended = { kind: 'given'; given: Given } | { kind: 'refused'; error: unknown }

/**
 * Looks at the rows of one run as they come: their count, and what is to be kept. What it throws fails the run, and has the
 * rest stopped.
 */
export type Look = {
  count: (rows: number) => void
  keep: Keep | null
}

/** `before` is told what the server sent for a row, bytes, before that is read. */
type Keep = { before: (bytes: number) => void; row: (row: Record<string, unknown>) => void }

/** The server did not look at a run, as one before it was refused. */
const passedOver = new Error('a run before it was refused')

/**
 * What looks at the rows of the next run; what hears how the run at a place ended, and throws nothing; and what is told
 * that a run has failed of its look, with why: the server knows of nothing, and goes on to the last row of the last run.
 */
type Hooks = { lookOf: () => Look; ended: (at: number, ended: Ended) => void; stop: (reason: unknown) => void }

/**
 * Runs a statement once for each list of values, in their order: parsed once, sent in one piece and with one sync, so that
 * after the first run which is refused the server looks at none. Sent as queries of `pg` each would ask for its columns
 * and for a sync of its own, which the server answers with a write to the socket; and one without values would be taken
 * for several statements, of which one could end the transaction. Resolves when all runs have ended; of their rows it
 * keeps none where a look has no `keep`.
 */
export const sendRuns = (
  client: ClientBase,
  sql: string,
  runs: readonly (readonly unknown[])[],
  { lookOf, ended, stop }: Hooks,
): Promise<void> => {
  // Before anything is sent: what it throws would leave half of the runs with the server.
  const bound = bindRuns(runs.map((values) => values.map((value) => utils.prepareValue(value))))
  const over = Promise.withResolvers<void>()
  let columns: Column[] = []
  let names: readonly string[] = []
  let rows: unknown[] = []
  let count = 0
  let look = lookOf()
  let failure: { error: unknown } | null = null
  let done = 0

  const finish = (): void => {
    const given: Given = { rows, count, columns: names }
    ended(done, failure === null ? { kind: 'given', given } : { kind: 'refused', error: failure.error })
    rows = []
    count = 0
    look = lookOf()
    failure = null
    done += 1
    if (done === runs.length) over.resolve()
  }

  const refuseRest = (error: unknown): void => {
    for (; done < runs.length; done += 1) {
      ended(done, { kind: 'refused', error })
      error = passedOver
    }
    over.resolve()
  }

  client.query({
    submit: (connection: Connection) => {
      connection.stream.cork()
      connection.parse({ name: '', text: sql, types: [] }, true)
      // All runs have its columns.
      connection.describe({ type: 'S' }, true)
      if (connection.stream.writable) connection.stream.write(bound)
      connection.sync()
      connection.stream.uncork()
    },
    handleRowDescription: ({ fields }: { fields: FieldDef[] }) => {
      columns = columnsOf(fields)
      names = fields.map(({ name }) => name)
    },
    handleDataRow: ({ length, fields }: { length: number; fields: (string | null)[] }) => {
      if (failure !== null) return
      try {
        count += 1
        look.count(count)
        if (look.keep === null) return
        look.keep.before(length)
        const row = readRow(columns, fields)
        look.keep.row(row)
        rows.push(row)
      } catch (error) {
        // Nobody but the process would hear of it. What the server sends until it is stopped is not kept.
        failure = { error }
        rows = []
        stop(error)
      }
    },
    handleCommandComplete: finish,
    handleEmptyQuery: finish,
    // Of a COPY: what the server sends is not passed on, and what it wants to be sent does not come.
    handleCopyData: () => undefined,
    handleCopyInResponse: (connection: Connection) => {
      failure = { error: nothingToCopy() }
      connection.stream.destroy()
    },
    handleReadyForQuery: () => undefined,
    handleError: (error: unknown) => refuseRest(failure === null ? error : failure.error),
  })
  return over.promise
}
