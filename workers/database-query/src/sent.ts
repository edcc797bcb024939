import { faultsOfParams, isSqlLoaded, loadSql, readStatement, type Statement } from '@esteira/sql'
import { DatabaseQueryError } from './errors.ts'

/**
 * A statement as the server gets it: parameters with names have numbers there, `names` in their order. What the grammar
 * cannot read, of a newer Postgres perhaps, is sent as it is.
 */
export type Sent = {
  text: string
  names: readonly string[]
  /** Whether it writes by its own words; null where that is not known. */
  writes: boolean | null
  /** Whether its runs may be in one transaction: it writes rows, and does not say that it reaches past them. */
  mayShare: boolean
  /** Whether its runs may wait for each other's rows. */
  mayMeet: boolean
  /** What is wrong with it, by the grammar or by what a step may run. */
  fault: string | null
  /** Whether no step may run it. The save refuses it too, by the rules of its day. */
  isForbidden: boolean
}

/** Statements that are remembered. */
const mostKnown = 1_000

const known = new Map<string, Sent>()

/** Reads a statement once, however many jobs ask for it while the grammar is still being loaded. */
export const sentOf = async (sql: string): Promise<Sent> => {
  // Each time anew: another statement that waited here may have been too deep for the grammar.
  while (!known.has(sql) && !isSqlLoaded()) await loadSql()
  return known.get(sql) ?? readOnce(sql)
}

const readOnce = (sql: string): Sent => {
  const read = readStatement(sql)
  const sent =
    read.kind === 'fault'
      ? { ...unread(sql), fault: read.message, isForbidden: read.isForbidden }
      : { ...sentBy(read.statement), fault: null, isForbidden: false }
  known.set(sql, sent)
  const [oldest] = known.keys()
  if (known.size > mostKnown && oldest !== undefined) known.delete(oldest)
  return sent
}

type OfStatement = Omit<Sent, 'fault' | 'isForbidden'>

const unread = (text: string): OfStatement => ({ text, names: [], writes: null, mayShare: false, mayMeet: true })

const sentBy = ({ text, names, writes, mayShare, mayMeet }: Statement): OfStatement => ({
  text,
  names,
  writes,
  mayShare,
  mayMeet,
})

/** The values of `$1`, `$2` ... from a list, or from an object with the names of the statement. */
type Params = readonly unknown[] | Readonly<Record<string, unknown>>

/**
 * The values of a statement in their order. Of a list the server itself says whether it fits.
 *
 * @throws DatabaseQueryError `config_invalid`, never with a value.
 */
export const valuesOf = ({ names, fault, isForbidden }: Sent, params: Params): unknown[] => {
  if (isList(params) && names.length === 0 && !isForbidden) return [...params]
  if (fault !== null) throw invalid(`config.sql ${fault}`)
  const [first] = faultsOfParams({ parameters: 0, names }, params)
  if (first !== undefined) {
    throw invalid(`config.params${first.name === null ? '' : `.${first.name}`} ${first.message}`)
  }
  return isList(params) ? [...params] : names.map((name) => params[name])
}

const isList = (params: Params): params is readonly unknown[] => Array.isArray(params)

const invalid = (message: string): DatabaseQueryError => new DatabaseQueryError('config_invalid', message)
