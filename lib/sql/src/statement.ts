/** What a statement is by its first word behind `with`. `select` is `values` and `table` as well. */
export type StatementKind = 'select' | 'insert' | 'update' | 'delete' | 'merge' | 'other'

/** One statement as its text has it; what its functions and triggers do is not known here. */
export type Statement = {
  /** As the server takes it: parameters are `$1`, `$2` ... */
  text: string
  kind: StatementKind
  /** Whether it writes or locks rows by its own words: a read-only transaction refuses it. */
  writes: boolean
  /** Whether it gives rows that have columns. */
  givesRows: boolean
  /** Whether runs of it may follow one another in one transaction: it writes rows and reaches for nothing else. */
  mayShare: boolean
  /** How many values it takes. */
  parameters: number
  /** The names of its parameters, that of `$1` first; empty where they have numbers. */
  names: readonly string[]
}

type Traits = Pick<Statement, 'kind' | 'writes' | 'givesRows' | 'mayShare'>

/** What the tree of a statement says of it, the numbers of its parameters, and what nobody may run as a step; null: nothing. */
export const describe = (node: unknown): Traits & { numbers: ReadonlySet<number>; fault: string | null } => {
  const [name = '', body = {}] = Object.entries(isRecord(node) ? node : {})[0] ?? []
  const top = isRecord(body) ? body : {}
  const kind = kinds[name] ?? 'other'
  const numbers = new Set<number>()
  let writes = !readingNodes.has(name)
  let reachesPast = false
  for (const [key, value] of nodesIn(top)) {
    if (key in kinds && kinds[key] !== 'select') writes = true
    if (key === 'intoClause' || key === 'LockingClause') writes = true
    if (key === 'FuncCall' && pastTheRows.test(nameOf(value))) reachesPast = true
    // Zero is what the tree leaves out.
    if (key === 'ParamRef') numbers.add(Number(value.number ?? 0))
  }
  return {
    kind,
    writes,
    givesRows: givesRows(name, top),
    mayShare: kind !== 'select' && kind !== 'other' && !reachesPast,
    numbers,
    fault: faultOf(name, top),
  }
}

const kinds: Record<string, StatementKind> = {
  SelectStmt: 'select',
  InsertStmt: 'insert',
  UpdateStmt: 'update',
  DeleteStmt: 'delete',
  MergeStmt: 'merge',
}

const readingNodes = new Set(['SelectStmt', 'ExplainStmt', 'VariableShowStmt', 'FetchStmt'])

/** Statements that are none of these and still answer with rows, or may. */
const answeringNodes = new Set(['ExplainStmt', 'VariableShowStmt', 'FetchStmt', 'ExecuteStmt', 'CallStmt'])

const givesRows = (name: string, top: Record<string, unknown>): boolean => {
  if (name !== 'SelectStmt') return answeringNodes.has(name) || 'returningClause' in top
  return !('intoClause' in top) && ('targetList' in top || 'valuesLists' in top || 'larg' in top)
}

const faultOf = (name: string, top: Record<string, unknown>): string | null => {
  if (name === 'TransactionStmt') return 'must not begin or end a transaction: each statement is in one already'
  if (name === 'CopyStmt' && !('filename' in top)) return 'must not copy from or to its client: there is none'
  return null
}

/** Functions that reach past rows: to the session, or to other sessions. */
const pastTheRows = /^(set_config|setseed|pg_notify|pg_(try_)?advisory_\w+)$/

const nameOf = ({ funcname }: Record<string, unknown>): string => {
  const last: unknown = Array.isArray(funcname) ? funcname.at(-1) : undefined
  return isRecord(last) && isRecord(last.String) ? String(last.String.sval) : ''
}

/** Every object of a tree with the name that it is kept under. Not by recursion: a tree may be deeper than the stack. */
function* nodesIn(root: Record<string, unknown>): Generator<[string, Record<string, unknown>]> {
  const open: unknown[] = [root]
  while (open.length > 0) {
    const node = open.pop()
    if (Array.isArray(node)) for (const part of node) open.push(part)
    if (!isRecord(node)) continue
    for (const [key, value] of Object.entries(node)) {
      if (isRecord(value)) yield [key, value]
      open.push(value)
    }
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
