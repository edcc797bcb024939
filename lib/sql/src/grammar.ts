import { createRequire } from 'node:module'
import { setFlagsFromString } from 'node:v8'
import type { hasSqlDetails, loadModule, parseSync, ScanToken, scanSync } from 'libpg-query'

/** What of libpg-query is used. */
type Grammar = {
  loadModule: typeof loadModule
  parseSync: typeof parseSync
  scanSync: typeof scanSync
  hasSqlDetails: typeof hasSqlDetails
}

/** What the grammar says to a text. `position` counts characters from 0. */
export type Answer<Value> =
  | { kind: 'read'; value: Value }
  | { kind: 'refused'; message: string; position: number }
  | { kind: 'unreadable'; message: string }

let grammar: Grammar | undefined
let opening: Promise<Grammar> | null = null
let renewing: Promise<void> | null = null

/**
 * Loads the grammar, which takes some 20 ms: before the first statement is read, and it never rejects after that. Whoever
 * asks meanwhile waits for the same one.
 */
export const loadSql = async (): Promise<void> => {
  if (renewing !== null) await renewing
  if (grammar !== undefined) return
  opening ??= open()
  try {
    grammar ??= await opening
  } finally {
    opening = null
  }
}

/**
 * Whether a statement that is read now has a sound grammar: not while it is loaded, nor while one that ran out of stack is
 * replaced. Who awaits `loadSql` may not be the first to go on behind it, and a text that came before may be too deep.
 */
export const isSqlLoaded = (): boolean => grammar !== undefined && renewing === null

/** The statements of a text, each with where it begins as a count of bytes. */
export const parse = (sql: string): Answer<{ node: unknown; begins: number }[]> =>
  ask(({ parseSync: read }) =>
    (read(sql).stmts ?? []).map(({ stmt, stmt_location: begins = 0 }) => ({ node: stmt, begins })),
  )

/** The words of a text; their places count bytes. Where the lexer refuses the text it does not say why. */
export const scan = (sql: string): Answer<ScanToken[]> => ask(({ scanSync: read }) => read(sql).tokens)

const ask = <Value>(look: (of: Grammar) => Value): Answer<Value> => {
  const asked = grammar
  if (asked === undefined) throw new Error('loadSql() has to be awaited before a statement is read')
  try {
    return { kind: 'read', value: look(asked) }
  } catch (error) {
    if (!(error instanceof Error)) throw error
    if (error instanceof RangeError || isTrap(error)) return runOutOfStack(asked, error)
    const position = asked.hasSqlDetails(error) ? (error.sqlDetails?.cursorPosition ?? 0) : 0
    return { kind: 'refused', message: error.message, position }
  }
}

/**
 * What runs out of stack in the middle never gives back the stack of the grammar itself: some thirty such texts, and all
 * others fail in it as well. So it is opened anew at the first, and until that is done the old one is asked.
 */
const runOutOfStack = (broken: Grammar, error: Error): Answer<never> => {
  const message =
    renewing !== null && isTrap(error)
      ? 'cannot be read just now, since others were too deep: try again in a second'
      : 'nests too deep, or chains too many operators, to be read'
  if (grammar === broken) renewing ??= renew()
  return { kind: 'unreadable', message }
}

/** WebAssembly's own error, which the types of Node do not have. */
const isTrap = ({ name }: Error): boolean => name === 'RuntimeError'

const renew = async (): Promise<void> => {
  try {
    grammar = await open()
  } catch {
    // It was opened once, so this is a machine short of memory or of files: the old one stays until the next try.
  } finally {
    renewing = null
  }
}

/**
 * A grammar of its own. The package keeps one for good, so it is loaded as if for the first time; `require` is one of
 * its own as well, as it holds all that it ever loaded.
 */
const open = async (): Promise<Grammar> => {
  // V8 compiles anew what is called often. Of the grammar's largest function that takes 500 MiB for some seconds.
  setFlagsFromString('--wasm-tiering-budget=2000000000')
  const load = createRequire(import.meta.url)
  const path = load.resolve('libpg-query')
  delete load.cache[path]
  const opened: Grammar = load(path)
  delete load.cache[path]
  await opened.loadModule()
  return opened
}
