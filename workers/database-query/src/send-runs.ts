import type { ClientBase, Connection, FieldDef } from 'pg'
import utils from 'pg/lib/utils.js'
import { type Column, columnsOf, readRow } from './columns.ts'
import { nothingToCopy } from './errors.ts'

/**
 * What a run of a statement gave: its rows, as far as they are kept, how many there were, and the names of their columns,
 * none for one that can give no rows.
 */
export type Given = { rows: unknown[]; count: number; columns: readonly string[] }

/** One run of a statement: what is bound to `$1`, `$2` ..., and what hears what it gave. */
type Run = { values: readonly unknown[]; given: Pick<PromiseWithResolvers<Given>, 'resolve' | 'reject'> }

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
 * Runs a statement once for each list of values, in their order: parsed once, sent in one piece and with one sync, so that
 * after the first run which is refused the server looks at none. Sent as queries of `pg` each would ask for its columns
 * and for a sync of its own, which the server answers with a write to the socket; and one without values would be taken
 * for several statements, of which one could end the transaction.
 *
 * `lookOf` gives what looks at the rows of the next run; of those it keeps none where that has no `keep`. `stop` is called
 * when a run has failed of that, with why: the server knows of nothing, and goes on to the last row of the last run.
 */
export const sendRuns = (
  client: ClientBase,
  sql: string,
  runs: readonly Run[],
  { lookOf, stop }: { lookOf: () => Look; stop: (reason: unknown) => void },
): void => {
  // Before anything is sent: what it throws would leave half of the runs with the server.
  const bound = runs.map(({ values }) => values.map(utils.prepareValue))
  let columns: Column[] = []
  let names: readonly string[] = []
  let [rows, count]: [unknown[], number] = [[], 0]
  let look = lookOf()
  let failure: { error: unknown } | null = null
  let done = 0

  const finish = (): void => {
    const given = runs[done]?.given
    if (failure === null) given?.resolve({ rows, count, columns: names })
    else given?.reject(failure.error)
    ;[rows, count] = [[], 0]
    look = lookOf()
    failure = null
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
      runs[done]?.given.reject(nothingToCopy())
      connection.stream.destroy()
    },
    handleReadyForQuery: () => undefined,
    handleError: (error: unknown) => {
      const refused = failure === null ? error : failure.error
      for (const [index, { given }] of runs.slice(done).entries()) given.reject(index === 0 ? refused : passedOver)
      done = runs.length
    },
  })
}
