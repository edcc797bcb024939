import { expect, test } from 'vitest'
import { parseTemplate, type Scope } from './expression.ts'

const scope: Scope = {
  payload: { email: 'ana@example.com', age: 31, tags: [{ id: 1 }, { id: 2 }], company: { name: 'Acme' }, none: null },
  run: { id: 'run-1', workflowId: 'workflow-1' },
  step: { id: 'step-1', name: 'fetch' },
}
const evaluate = async (text: string) => parseTemplate(text).evaluate(scope)

test.each([
  ['{{ payload.age }}', 31],
  ['{{payload.company}}', { name: 'Acme' }],
  ['{{ payload.none }}', null],
  ['{{ run.id }}', 'run-1'],
  ['{{ step.name }}', 'fetch'],
  ['{{ payload }}', scope.payload],
  ['{{ payload.age > 30 ? "old" : "young" }}', 'old'],
  ['{{ {"a": {"b": payload.age}} }}', { a: { b: 31 } }],
])('%s as a whole text keeps its type', async (text, expected) => {
  expect(await evaluate(text)).toEqual(expected)
})

test('a path that leads nowhere gives nothing', async () => {
  expect(await evaluate('{{ payload.missing.deeper }}')).toBeUndefined()
  expect(await evaluate('{{ payload.constructor }}')).toBeUndefined()
})

test.each([
  [[], []],
  [[{ id: 1 }], [1]],
  [
    [{ id: 1 }, { id: 2 }],
    [1, 2],
  ],
  [
    [{ id: [1] }, {}, 'text', null],
    [[1], null, null, null],
  ],
  [[[{ id: 1 }]], [[1]]],
])('a plain path through the list %j gives as many: %j', async (list, expected) => {
  expect(await parseTemplate('{{ payload.list.id }}').evaluate({ ...scope, payload: { list } })).toEqual(expected)
  expect(await parseTemplate('{{ payload.id }}').evaluate({ ...scope, payload: list })).toEqual(expected)
})

test('a list at the end of a plain path is passed on as it is, and names need not be English', async () => {
  const payload = { one: [7], endereço: { número: 12 } }
  expect(await parseTemplate('{{ payload.one }}').evaluate({ ...scope, payload })).toEqual([7])
  expect(await parseTemplate('{{ payload.endereço.número }}').evaluate({ ...scope, payload })).toBe(12)
})

test('what is no plain path is JSONata: a list of one is its item there, unless "[]" keeps it', async () => {
  const one = { ...scope, payload: { list: [{ id: 1 }] } }
  expect(await parseTemplate('{{ payload.list[id > 0].id }}').evaluate(one)).toBe(1)
  const kept = await parseTemplate('{{ payload.list[id > 0].id[] }}').evaluate(one)
  expect(JSON.stringify(kept)).toBe('[1]')
})

test('expressions inside a longer text become part of it', async () => {
  expect(await evaluate('Hello {{ payload.company.name }}, you are {{ payload.age }}')).toBe('Hello Acme, you are 31')
  expect(await evaluate('{{ payload.age }}/{{ payload.company }}')).toBe('31/{"name":"Acme"}')
})

test('an expression inside a text that gives nothing fails the job', async () => {
  await expect(evaluate('Hello {{ payload.missing }}')).rejects.toThrow(
    expect.objectContaining({
      code: 'expression_failed',
      message: '"{{ payload.missing }}" inside a text gave nothing',
    }),
  )
})

test('a faulty expression is told when it is read, with its place', () => {
  expect(() => parseTemplate('{{ payload.( }}')).toThrow(
    expect.objectContaining({ code: 'expression_invalid', message: expect.stringMatching(/at character \d+/) }),
  )
  expect(() => parseTemplate('a {{ payload.age')).toThrow('"{{" at character 2 has no "}}"')
})

test.each([
  [
    '{{ paylod.age }}',
    '"paylod" is not known here, at character 7, did you mean "payload"? (there are payload, run, step)',
  ],
  ['Hello {{ name }}', '"name" is not known here, at character 5 (there are payload, run, step)'],
  ['{{ payload.age > age }}', '"age" is not known here, at character 18'],
])('%s begins with what is not there, and is told so when it is read', (text, words) => {
  expect(() => parseTemplate(text)).toThrow(
    expect.objectContaining({ code: 'expression_invalid', message: expect.stringContaining(words) }),
  )
})

test.each([
  ['(', 'Expected ")" before end of expression, at character 3'],
  ['{"a" 1}', 'Expected ":", got 1, at character 7'],
])('what JSONata cannot read in {{ %s }} is told in words', (source, words) => {
  expect(() => parseTemplate(`{{ ${source} }}`)).toThrow(words)
})

test.each([
  ['payload.email + 1', 'The left side of the "+" operator must evaluate to a number, at character 16'],
  ['$number(payload.email)', 'Unable to cast value to a number, at character 9'],
  ['{payload.company: 1}', 'Key in object structure must evaluate to a string, at character 2'],
  ['payload.email < 1', 'The values on the two sides of a comparison must be of the same data type, at character 16'],
  ['$toMillis(payload.email)', 'must be an ISO 8601 formatted timestamp, at character 11'],
  ['$formatBase(1, 80085)', 'a value does not fit (JSONata D3100), at character 13'],
  ['[1..2080085]', 'A sequence may have 1000000 items, at character 5'],
  ['payload.email()', 'Attempted to invoke a non-function, at character 15'],
])('{{ %s }} fails in words, with the place and without a value of the payload', async (source, words) => {
  const failure = await evaluate(`{{ ${source} }}`).catch((error: unknown) => error)
  expect(failure).toMatchObject({ code: 'expression_failed', message: expect.stringContaining(words) })
  expect(String(failure).replace(source, '')).not.toMatch(/ana@|Acme|80085/)
})

test('what fails tells the types of the values that it read, as far as paths lead', async () => {
  const failure = await evaluate('{{ payload.email + payload.age * $count(payload.tags[id > run.id]) }}').catch(String)
  expect(failure).toMatch(/\(payload\.email is a string, payload\.age is a number, payload\.tags is an array\)$/)
})

test.each([
  ['$base64encode(payload.email)', 'YW5hQGV4YW1wbGUuY29t'],
  ['payload.tags[id > 1]', { id: 2 }],
  ['payload.tags[id > 2]', undefined],
  ['payload.none', null],
  ['$map([1..3], function($n) { $n * 2 })', [2, 4, 6]],
])('%s gives the same in a process apart', async (source, value) => {
  expect(await evaluate(`{{ (${source})[true] }}`)).toEqual(value)
})
