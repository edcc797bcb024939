/**
 * What stands in one pair of brackets: `ahead` since the last operator, or mark, behind which another value begins, and all
 * before that, of which a part may be read twice.
 */
type Bracket = { read: number; ahead: number }

const space = String.raw` \t\n\r\v`
const operators = String.raw`.[\]{}(),@#;:?+\-*/%|=<>^&!~`

/** A token as JSONata's own parser cuts it, but for regular expressions, which hang on what stands before them. */
const tokenPattern = new RegExp(
  [
    `[${space}]+`,
    String.raw`/\*[^]*?\*/`,
    String.raw`"[^"\\]*(?:\\[^][^"\\]*)*"`,
    String.raw`'[^'\\]*(?:\\[^][^'\\]*)*'`,
    '`[^`]*`',
    String.raw`\?[?:]`,
    String.raw`\*\*`,
    `[${operators}]`,
    `[^${space}${operators}]+`,
  ].join('|'),
  'y',
)

/** Characters that are read, and at which one of the expression there are too many of them, or null. */
export type Reading = { read: number; place: number | null }

/**
 * What JSONata's parser would read of an expression, up to more than `most` characters. It reads what stands before a `?:` or `??` once more, with all that is twice in that already: 20 of them within each other are a
 * million times the innermost. Those that follow each other are not.
 */
export const readingOf = (source: string, most: number): Reading => {
  const around: Bracket[] = []
  let bracket: Bracket = { read: 0, ahead: 0 }
  let read = 0
  /** Whether a value ends here, so that what comes is an operator: `/` is division, and `*` no wildcard. */
  let hasValue = false
  for (let at = 0; at < source.length;) {
    const token = source[at] === '/' && !hasValue && source[at + 1] !== '*' ? regexAt(source, at) : tokenAt(source, at)
    at += token.length
    read += token.length
    bracket.ahead += token.length
    if (token === '?:' || token === '??') {
      read += bracket.ahead
      bracket = { read: bracket.read + 2 * bracket.ahead, ahead: 0 }
    } else if ('([{'.includes(token)) {
      around.push(bracket)
      bracket = { read: 0, ahead: 0 }
    } else if (',;:?'.includes(token)) {
      bracket = { read: bracket.read + bracket.ahead, ahead: 0 }
    } else if (')]}'.includes(token)) {
      const outer = around.pop() ?? { read: 0, ahead: 0 }
      bracket = { read: outer.read, ahead: outer.ahead + bracket.read + bracket.ahead }
    }
    if (read > most) return { read, place: at }
    hasValue = isValueAfter(token, hasValue)
  }
  return { read, place: null }
}

const tokenAt = (source: string, at: number): string => {
  tokenPattern.lastIndex = at
  return tokenPattern.exec(source)?.[0] ?? source.slice(at)
}

/** A regular expression ends at the first `/` that is in no bracket of it and behind no backslash. Its flags follow. */
const regexAt = (source: string, at: number): string => {
  let end = at + 1
  for (let depth = 0, backslashes = 0; end < source.length; end += 1) {
    const character = source.charAt(end)
    if (character === '/' && depth === 0 && backslashes % 2 === 0) break
    if (backslashes === 0 && '([{'.includes(character)) depth += 1
    if (backslashes === 0 && ')]}'.includes(character)) depth -= 1
    backslashes = character === '\\' ? backslashes + 1 : 0
  }
  do end += 1
  while (end < source.length && 'im'.includes(source.charAt(end)))
  return source.slice(at, end)
}

const isBlank = new RegExp(`^(?:[${space}]|/\\*)`)
const isOperator = new RegExp(`^[${operators}]$`)

const isValueAfter = (token: string, hadValue: boolean): boolean => {
  if (isBlank.test(token)) return hadValue
  if (['*', '**', '%', 'and', 'or', 'in'].includes(token)) return !hadValue
  return ')]}'.includes(token) || !(isOperator.test(token) || token === '?:' || token === '??')
}
