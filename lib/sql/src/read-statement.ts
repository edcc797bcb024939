import { parse } from './grammar.ts'
import { type Named, nameParameters, withoutNames } from './name-parameters.ts'
import { describe, type Statement } from './statement.ts'

/**
 * What a text is: one statement, or why it is none, with its place. `isForbidden`: it is one that
 * nobody may run as a step, though a server would.
 */
export type ReadStatement =
  | { kind: 'read'; statement: Statement }
  | { kind: 'fault'; message: string; isForbidden: boolean }

/** More is data, which belongs into parameters; the grammar takes a second for as much. */
const maxCharacters = 100_000

/** Reads a text that should be one statement. `loadSql` must have been awaited. */
export const readStatement = (sql: string): ReadStatement => {
  if (sql.length > maxCharacters) {
    return fault(`must have at most ${maxCharacters} characters: data goes into parameters`)
  }
  // The grammar takes it for the end of the text.
  if (sql.includes('\0')) return fault('must not have a character U+0000')
  const named = nameParameters(sql)
  if (named === null) return unscannable(sql)
  const parsed = parse(named.looked === '' ? ' ' : named.looked)
  if (parsed.kind === 'unreadable') return fault(parsed.message)
  if (parsed.kind === 'refused') {
    return fault(`${inAuthorsWords(parsed, named)}, ${placeOf(sql, parsed.position)}`)
  }
  const [first, second] = parsed.value
  if (first === undefined) return fault('has no statement')
  if (second !== undefined) {
    const place = placeOf(sql, beginOf(named.looked, second.begins))
    return fault(`has ${parsed.value.length} statements, and one is allowed: the second begins ${place}`)
  }
  const { numbers, fault: forbidden, ...traits } = describe(first.node)
  if (forbidden !== null) return { kind: 'fault', message: forbidden, isForbidden: true }
  const wrong = named.names.length > 0 ? faultOfMix(named) : faultOfNumbers(numbers)
  if (wrong !== null) return fault(wrong)
  const parameters = named.names.length > 0 ? named.names.length : numbers.size
  return { kind: 'read', statement: { text: named.sent, ...traits, parameters, names: named.names } }
}

const fault = (message: string): ReadStatement => ({ kind: 'fault', message, isForbidden: false })

/** The scanner says only that it stopped; the grammar says where, and quotes what it was given in place of the names. */
const unscannable = (sql: string): ReadStatement => {
  const parsed = parse(withoutNames(sql))
  if (parsed.kind === 'unreadable') return fault(parsed.message)
  if (parsed.kind === 'read') return fault('cannot be told apart into words')
  return fault(`${parsed.message.replace(/ at or near ".*"$/s, '')}, ${placeOf(sql, parsed.position)}`)
}

const inAuthorsWords = ({ message, position }: { message: string; position: number }, { at }: Named): string => {
  const name = at.get(position)
  return name === undefined ? message : message.replace(/"\$1"$/, () => `":${name}"`)
}

const faultOfMix = ({ hasNumbers, names }: Named): string | null =>
  hasNumbers ? `has parameters with numbers beside :${names[0]}: give each a name, or each a number` : null

const faultOfNumbers = (numbers: ReadonlySet<number>): string | null => {
  if (numbers.has(0)) return 'has $0: parameters count from $1'
  const most = Math.max(0, ...numbers)
  const missing =
    numbers.size === most ? undefined : [...numbers].map((n) => n - 1).find((n) => n > 0 && !numbers.has(n))
  return missing === undefined ? null : `has $${missing + 1} and no $${missing}: parameters count from $1 without a gap`
}

/** Where the words of a statement begin, in characters from 0: the grammar has it begin behind the semicolon before. */
const beginOf = (sql: string, begins: number): number => {
  const before = Buffer.from(sql).toString('utf8', 0, begins)
  const spaces = /^\s*/.exec(sql.slice(before.length))?.[0] ?? ''
  return Array.from(before + spaces).length
}

const placeOf = (sql: string, position: number): string => {
  const before = Array.from(sql).slice(0, position)
  const line = before.filter((character) => character === '\n').length + 1
  return `at line ${line}, column ${position - before.lastIndexOf('\n')}`
}
