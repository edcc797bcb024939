/** One statement as its text has it; what its functions and triggers do is not known here. */
export type Statement = {
  /** As the server takes it: parameters are `$1`, `$2` ... */
  text: string
  /**
   * Whether it writes or locks rows by its own words, which a read-only transaction refuses, or calls a function that
   * reaches others at once, which that allows.
   */
  writes: boolean
  /** Whether runs of it may follow one another in one transaction: it writes rows and reaches for nothing else. */
  mayShare: boolean
  /** Whether runs of it may wait for each other's rows; new ones do so only for a key that both have. */
  mayMeet: boolean
  /** How many values it takes. */
  parameters: number
  /** The names of its parameters, that of `$1` first; empty where they have numbers. */
  names: readonly string[]
}

type Traits = Pick<Statement, 'writes' | 'mayShare' | 'mayMeet'>

/** What the tree of a statement says of it, the numbers of its parameters, and what nobody may run as a step; null: nothing. */
export const describe = (node: unknown): Traits & { numbers: ReadonlySet<number>; fault: string | null } => {
  const [name = '', body = {}] = Object.entries(isRecord(node) ? node : {})[0] ?? []
  const top = isRecord(body) ? body : {}
  const numbers = new Set<number>()
  let writes = !readingNodes.has(name)
  let takesRows = name !== 'InsertStmt'
  let reachesPast = false
  for (const [key, value] of nodesIn(top)) {
    if (writingNodes.has(key) || key === 'intoClause' || key === 'LockingClause') writes = true
    if (takingNodes.has(key) || value.action === 'ONCONFLICT_UPDATE') takesRows = true
    if (key === 'FuncCall' && leavesSomething.test(nameOf(value))) reachesPast = true
    if (key === 'FuncCall' && heardByOthers.test(nameOf(value))) [writes, reachesPast] = [true, true]
    // Zero is what the tree leaves out.
    if (key === 'ParamRef') numbers.add(Number(value.number ?? 0))
  }
  return {
    writes,
    mayShare: writingNodes.has(name) && !reachesPast,
    mayMeet: takesRows,
    numbers,
    fault: faultOf(name, top),
  }
}

const writingNodes = new Set(['InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt'])

/** What takes hold of rows that are there. */
const takingNodes = new Set(['UpdateStmt', 'DeleteStmt', 'MergeStmt', 'LockingClause'])

const readingNodes = new Set(['SelectStmt', 'ExplainStmt', 'VariableShowStmt', 'FetchStmt'])

const faultOf = (name: string, top: Record<string, unknown>): string | null => {
  if (name === 'TransactionStmt') return 'must not begin or end a transaction: each statement is in one already'
  if (name === 'CopyStmt' && !('filename' in top)) return 'must not copy from or to its client: there is none'
  return null
}

/** Functions that leave something in the session, or the transaction, for what runs there next. */
const leavesSomething = /^(set_config|setseed|pg_(try_)?advisory_\w+)$/

/**
 * Functions of which a second call is heard by others, though no row is written here. Some are heard even where all is
 * rolled back: then what shares a transaction with them must not be the reason for it.
 */
const heardByOthers = /^(pg_notify|pg_logical_emit_message|pg_(cancel|terminate)_backend|dblink_(exec|send_query))$/

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
