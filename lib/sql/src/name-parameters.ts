import type { ScanToken } from 'libpg-query'
import { scan } from './grammar.ts'

/** A statement's parameters by name. */
export type Named = {
  /** In the order in which they come first. */
  names: readonly string[]
  /** As the server takes it: `$1` for the first name, `$2` for the second. */
  sent: string
  /** As the grammar is to look at it: each character stands where its author put it. */
  looked: string
  /** The names by where their colons stand, in characters from 0. */
  at: ReadonlyMap<number, string>
  hasNumbers: boolean
}

/** Finds the parameters of a statement that are written as `:name`; null where its words cannot even be told apart. */
export const nameParameters = (sql: string): Named | null => {
  if (!mayHaveNames.test(sql)) return { names: [], sent: sql, looked: sql, at: new Map(), hasNumbers: false }
  const scanned = scan(sql)
  if (scanned.kind !== 'read') return null
  const words = scanned.value.filter(({ tokenName }) => !tokenName.endsWith('_COMMENT'))
  const names: string[] = []
  const at = new Map<number, string>()
  const bytes = Buffer.from(sql)
  let [sent, looked, done, characters] = ['', '', 0, 0]
  for (const [index, colon] of words.entries()) {
    const name = nameBehind(words, index)
    if (name === null) continue
    const between = bytes.toString('utf8', done, colon.start)
    done = name.end
    if (!names.includes(name.text)) names.push(name.text)
    const place = inPlaceOf(`:${name.text}`)
    at.set(characters + lengthOf(between), name.text)
    characters += lengthOf(between) + lengthOf(place)
    sent += `${between}$${names.indexOf(name.text) + 1}`
    looked += `${between}${place}`
  }
  const rest = bytes.toString('utf8', done)
  const hasNumbers = words.some(({ tokenName }) => tokenName === 'PARAM')
  return { names, sent: `${sent}${rest}`, looked: `${looked}${rest}`, at, hasNumbers }
}

/** The same for a text whose words cannot be told apart: good enough to hear from the grammar where that is so. */
export const withoutNames = (sql: string): string =>
  sql.replaceAll(/(?<![:\p{L}\p{N}_$\])])(:[\p{L}_][\p{L}\p{N}_$]*)/gu, inPlaceOf)

/** Letters count as Postgres counts them: what is no ASCII is one. */
const mayHaveNames = /:[a-z_\u0080-\uffff]/i

/** A parameter with as many characters; which one does not matter where nothing is run. */
const inPlaceOf = (text: string): string => '$1'.padEnd(lengthOf(text))

/** As Postgres counts characters. */
const lengthOf = (text: string): number => Array.from(text).length

/** The name of the parameter that a word begins, if it is the colon of one. */
const nameBehind = (words: readonly ScanToken[], index: number): ScanToken | null => {
  const [colon, name] = [words[index], words[index + 1]]
  if (colon?.text !== ':' || name?.start !== colon.end) return null
  const isName = isKeyword(name) || (name.tokenName === 'IDENT' && !/^(u&)?"/i.test(name.text))
  return isName && mayBeginValue(words, index) ? name : null
}

/** Whether a value may begin at a word: behind another value the colon is Postgres' own, and so it is in `a[:n]`. */
const mayBeginValue = (words: readonly ScanToken[], index: number): boolean => {
  const [before, colon] = [words[index - 1], words[index]]
  if (before === undefined || colon === undefined) return true
  if (before.text === '[') return !isValue(words[index - 2], before)
  return !isValue(before, colon)
}

/**
 * Whether a value ends with a word. One that may be a name or a keyword (`json_object(name:x)`) is a name if `next`
 * touches it.
 */
const isValue = (word: ScanToken | undefined, next: ScanToken): boolean => {
  if (word === undefined) return false
  if (isKeyword(word)) return namingKeywords.has(word.keywordName) && word.end === next.start
  return valueNames.has(word.tokenName) || word.text === ')' || word.text === ']'
}

const isKeyword = ({ keywordName }: ScanToken): boolean => keywordName !== 'NO_KEYWORD'

/** Keywords that may as well be names of columns or types. */
const namingKeywords = new Set(['UNRESERVED_KEYWORD', 'COL_NAME_KEYWORD'])

const valueNames = new Set(['IDENT', 'UIDENT', 'SCONST', 'USCONST', 'BCONST', 'XCONST', 'ICONST', 'FCONST', 'PARAM'])
