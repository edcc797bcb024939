import { expect, test } from 'vitest'
import { compileJsonata } from './compile.ts'
import { limits } from './limits.ts'

const compile = (source: string) => compileJsonata(source, ['payload'])

const nestings: Record<string, (levels: number) => string> = {
  operators: (levels) => Array(levels).fill('payload.a').join(' & '),
  signs: (levels) => `${'-'.repeat(levels)} payload.a`,
  lists: (levels) => '['.repeat(levels) + ']'.repeat(levels),
  objects: (levels) => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`,
  calls: (levels) => `${'$abs('.repeat(levels)}1${')'.repeat(levels)}`,
  blocks: (levels) => `${'('.repeat(levels)}1${')'.repeat(levels)}`,
  conditions: (levels) => `${'payload.a = 1 ? 1 : '.repeat(levels)} 2`,
  functions: (levels) => `${'$map(payload.a, function() {'.repeat(levels)}1${'})'.repeat(levels)}`,
}

test.each(Object.entries(nestings))('%s nested too deeply are told when they are read, with the place', (_, nested) => {
  // Of what JSONata's own parser gives up at there is no place: it does at the last, and at some of 2,000.
  for (const levels of [limits.stack + 1, 1_000, 2_000, 16_000]) {
    if (nested(levels).length > limits.length) continue
    const place =
      levels < 2_000 ? String.raw`, more than 500 levels, at character \d+` : String.raw`(, more than 500 .*\d+)?`
    expect(() => compile(nested(levels))).toThrow(
      expect.objectContaining({
        code: 'expression_invalid',
        message: expect.stringMatching(`": it is nested too deeply${place}$`),
      }),
    )
  }
})

test('the place is where the first of those forms ends that are too deep', () => {
  expect(() => compile('['.repeat(600) + ']'.repeat(600))).toThrow(/at character 501$/)
})

test('what is nested as deeply as JSONata evaluates it is read, and evaluated', async () => {
  const scope = { payload: { a: 1 } }
  expect(await compile(nestings.operators?.(limits.stack - 1) ?? '')(scope, { line: 'any' })).toBe(
    '1'.repeat(limits.stack - 1),
  )
  expect(JSON.stringify(await compile(nestings.lists?.(limits.stack) ?? '')(scope, { line: 'any' }))).toHaveLength(
    2 * limits.stack,
  )
})

test('an expression that is long, and not deep, is read', () => {
  expect(() =>
    compile(
      `[${Array(limits.length / 2 - 1)
        .fill('1')
        .join()}]`,
    ),
  ).not.toThrow()
})
