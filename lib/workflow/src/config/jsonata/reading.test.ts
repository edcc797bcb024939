import { expect, test } from 'vitest'
import { compileJsonata } from './compile.ts'
import { readingOf } from './reading.ts'

const compile = (source: string) => compileJsonata(source, ['payload'])

/** Each operator stands within what stands before the next one. */
const nested = (operator: string, levels: number): string =>
  `${'('.repeat(levels)}payload.a${` ${operator} 1)`.repeat(levels)}`

/** Members with a default each, in objects that have one behind them as well. */
const membersWithin = (members: number, levels: number): string => {
  const own = Array.from({ length: members }, (_, n) => `"field ${n}": payload.field${n} ?: ""`)
  const inner = levels === 0 ? [] : [`"inner": ${membersWithin(members / 2, levels - 1)}`]
  return `{${[...own, ...inner, '"currency": payload.currency ?: "BRL"'].join()}}`
}

/** Blocks within blocks, each with a default for a variable of its own. */
const blocksWithin = (levels: number): string =>
  levels === 0 ? 'payload.name' : `($inner := ${blocksWithin(levels - 1)}; $own := payload.own ?: "x"; $inner & $own)`

const refused = expect.objectContaining({
  code: 'expression_invalid',
  message: expect.stringMatching(
    /"\?:" or "\?\?" stands within what stands before another, again and again, .*, at character \d+$/,
  ),
})

test.each(['?:', '??'])('what JSONata would read a million times for its %s is refused before it does', (operator) => {
  expect(() => compile(nested(operator, 20))).toThrow(refused)
  expect(() => compile(`{"id": 1, "name": ${nested(operator, 20)}}`)).toThrow(refused)
})

test('the place is where more has been read than may be', () => {
  // Of its 18 characters the first operator has 7 read twice, and the second these 14 with 7 more.
  const source = '((abcd ?: 1) ?: 2)'
  expect(readingOf(source, 46)).toEqual({ read: 46, place: null })
  expect(readingOf(source, 42).place).toBe(source.lastIndexOf('?:') + 2)
  expect(readingOf(source, 15).place).toBe(source.indexOf('?:') + 2)
})

test.each([
  ['a chain', Array(200).fill('payload.a').join(' ?: ')],
  ['members', `{${Array.from({ length: 400 }, (_, n) => `"f${n}": payload.f${n} ?? ${n}`).join()}}`],
  ['some within each other', nested('?:', 12)],
  ['a default behind members that have some', membersWithin(150, 4)],
  ['defaults of variables in blocks', blocksWithin(15)],
  ['conditions', `${'('.repeat(60)}payload.a${' ? 1 : 2)'.repeat(60)}`],
  ['groups of a regular expression', `$contains(payload.a, /${'(?:a'.repeat(40)}${')'.repeat(40)}/)`],
  ['texts', `"${'(a ?? '.repeat(40)}"`],
])('%s that are read once, or a few times, are no such thing', (_, source) => {
  expect(() => compile(source)).not.toThrow()
})

test.each([
  ['a text', String.raw`"\"("`],
  ['a text in single quotes', `'("'`],
  ['a name', 'payload.`("`'],
  ['a comment', '1 /* " ( */'],
  ['a class of characters', String.raw`$contains("", /[")\]'(\/]/)`],
  ['a regular expression with flags', String.raw`$contains("", /\(?:"/i)`],
  ['one with a slash in brackets', String.raw`$contains("", /(/")/)`],
  ['one behind two backslashes', String.raw`$contains("", /\\[("]/)`],
  ['a division of a wildcard', 'payload.*/2 & "/"'],
  ['a division of what is in brackets', '(1)/2 & "/"'],
])('behind %s it is seen as well', (_, before) => {
  // Of many levels JSONata itself shows that it is read as it is here.
  expect(() => compile(`[${before}, ${nested('?:', 3)}]`)).not.toThrow()
  expect(() => compile(`[${before}, ${nested('?:', 14)}]`)).toThrow(refused)
})
