import { isTransient } from '@esteira/workflow'
import { DatabaseError } from 'pg'
import { isAway } from './away.ts'
import { DatabaseQueryError } from './errors.ts'

/** What is known of a statement that was refused: its connection, its text, and its parameters where they have names. */
type Of = { isReadOnly: boolean; text: string; names: readonly string[] }

/** What Postgres refused, without the values that it quotes. What may go another time is told as such. */
export const explain = (error: unknown, { isReadOnly, text, names }: Of): unknown => {
  if (!(error instanceof DatabaseError) || error.code === undefined || isAway(error)) return error
  if (error.code === '25006') {
    const way = isReadOnly ? 'config.connection is read-only' : 'set config.mode to "execute"'
    return refused(`${error.message}: ${way}`, error, names)
  }
  // Of a text in which numbers stand for names.
  const isElsewhere = error.position === undefined || names.length > 0
  const at = isElsewhere ? '' : `, at character ${error.position}`
  return refused(`${wordsOf(error, text)}${at} (SQLSTATE ${error.code})`, error, names)
}

const wordsOf = (error: DatabaseError, text: string): string => {
  const { code = '', message } = error
  if (code.startsWith('23')) return constraintOf(error)
  // Of a login, with names of the address alone; or of a `raise exception`, whose author chose them.
  if ((isRefusedLogin(error) && error.severity === 'FATAL') || !ofServer.test(code)) return message
  // The parser points into the statement; nobody has given it a value yet.
  if (ofMoment.test(code) || (code.startsWith('42') && error.position !== undefined)) return message
  if (ofBinding.test(message))
    return message.replace(ofBinding, 'expected as many config.params as the highest $n, $2, but $1 came')
  return withoutNumbers(withoutQuotes(unquoted(message, code, text), text), text)
}

/** The codes of Postgres itself, but for those of errors that PL/pgSQL raises where it is told to. */
const ofServer = /^(\d|F0|HV|XX)/

/** Of other writers, of what the server is short of, and of time: none of that quotes a value. */
const ofMoment = /^(40|53|57)|^55P03$/

const refused = (reason: string, cause: DatabaseError, names: readonly string[]) =>
  new DatabaseQueryError(
    isTransient(cause) && !ofFile.test(cause.code ?? '') ? 'refused_for_now' : 'statement_refused',
    `${placeOf(cause, names)}: ${reason}`,
    { cause },
  )

/** A file that the statement names is not on the server, or is there already; no other attempt changes that. */
const ofFile = /^58P0[12]$/

/** Which part of the config the server has something against. */
const placeOf = (error: DatabaseError, names: readonly string[]): string => {
  if (isRefusedLogin(error)) return 'config.connection'
  const [, number] = /portal parameter \$(\d+)/.exec(error.where ?? '') ?? []
  if (number === undefined) return 'config.sql'
  const name = names[Number(number) - 1]
  return name === undefined ? `config.params[${Number(number) - 1}]` : `config.params.${name}`
}

/** The user or the database of the address is not known, to the server or to a pooler: no statement was looked at. */
const isRefusedLogin = ({ code = '', severity }: DatabaseError): boolean =>
  /^(28|3D)/.test(code) || (code === '08P01' && severity === 'FATAL')

/** A server that speaks English counts values in terms of its protocol; what it says in another language stays. */
const ofBinding = /^bind message supplies (\d+) parameters, but prepared statement "\w*" requires (\d+)$/

/**
 * A value may be taken for a name: of a table by `$1::regclass`, of a zone by `at time zone $1`. So what is quoted stays
 * only where all of it stands in the statement. Else everything from the first quote to the last is left out, as a value
 * may have quotes in it.
 */
const withoutQuotes = (message: string, text: string): string => {
  const quoted = [...message.matchAll(/["„“”«»「](.*?)["“”«»」]/gs)].map(([, part = '']) => part.trim())
  if (quoted.every((part) => standsIn(text, part))) return message
  return message.replace(/["„“”«»「].*["“”«»」]/s, '...')
}

/** Without what may be a value though it is not quoted, which the class of the error tells. */
const unquoted = (message: string, code: string, text: string): string => {
  if (code.startsWith('22')) return withoutValues(message)
  return code.startsWith('42') ? withoutNames(message, code, text) : message
}

/**
 * Some names are not quoted: behind a colon, and that of a function before its types. A value may be taken for one of those
 * as well, as by `$1::regoper` and `$1::regprocedure`.
 */
const withoutNames = (message: string, code: string, text: string): string => {
  const words = message.replace(/: (.+)$/s, (part, name: string) => (standsIn(text, name) ? part : ': ...'))
  if (code !== '42883') return words
  return words.replace(/\S+(?=\()/g, (name) => (standsIn(text, name) ? name : '...'))
}

/**
 * A number may be a value as well: the index of a byte, a large object, the code of a character. So it stays only where it
 * stands in the statement, or tells the length of a type, as in `character varying(10)`.
 */
const withoutNumbers = (message: string, text: string): string =>
  message.replace(numbers, (number) => (standsIn(text, number.replace(/^-/, '')) ? number : '...'))

const numbers = /(?<![\p{L}\p{N}_$]|\p{L}\()-?\d[\p{L}\p{N}_.]*/gu

/** As a word, or as several. */
const standsIn = (text: string, part: string): boolean => {
  const [words, all] = [part.toLowerCase(), text.toLowerCase()]
  if (words === '') return true
  for (let at = all.indexOf(words); at >= 0; at = all.indexOf(words, at + 1)) {
    if (!isWord.test(all[at - 1] ?? '') && !isWord.test(all[at + words.length] ?? '')) return true
  }
  return false
}

const isWord = /[\p{L}\p{N}_$]/u

/** Errors of the class "data" end in the value after a colon, or have it in the middle when it is out of range. */
const withoutValues = (message: string): string =>
  message.replace(/(value )?".*" is out of range/s, 'a value is out of range').replace(/:.*$/s, '')

/**
 * Which constraint is violated, and where it is. The server's own words may be in any language, and a function that raises
 * such an error may have a value in them.
 */
const constraintOf = ({ code = '', constraint, schema, table, column, dataType }: DatabaseError): string => {
  const place = (name: string) => JSON.stringify(schema === undefined ? name : `${schema}.${name}`)
  const of = table === undefined ? dataType && ` of type ${place(dataType)}` : ` of table ${place(table)}`
  if (code === '23502' && column !== undefined) return `column ${JSON.stringify(column)}${of ?? ''} takes no null`
  const kind = kinds[code] ?? 'a'
  if (constraint === undefined) return `${kind} constraint${of ?? ''} is violated`
  return `${kind} constraint ${JSON.stringify(constraint)}${of ?? ''} is violated`.replace(
    /^a constraint/,
    'constraint',
  )
}

const kinds: Record<string, string> = {
  '23001': 'foreign key',
  '23503': 'foreign key',
  '23505': 'unique',
  '23514': 'check',
  '23P01': 'exclusion',
}
