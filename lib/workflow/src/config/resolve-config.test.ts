import { expect, test } from 'vitest'
import { compileConfig, faultsOfExpressions } from './resolve-config.ts'

const scope = {
  payload: { email: 'ana@example.com', segment: 7 },
  run: { id: 'run-1', workflowId: 'workflow-1' },
  step: { id: 'step-1', name: 'save' },
}

const secrets = async (name: string) => `value of ${name}`

test('expressions anywhere in a config are evaluated, everything else stays', async () => {
  const config = compileConfig(
    { id: '{{ payload.segment }}', fixed: 3, deep: { list: ['{{ payload.email }}', true, null] } },
    new Set(),
  )
  expect(await config(scope, secrets)).toEqual({ id: 7, fixed: 3, deep: { list: ['ana@example.com', true, null] } })
})

test('what gives nothing is left out of an object and is null in a list, so that parameters do not shift', async () => {
  const config = compileConfig({ gone: '{{ payload.missing }}', list: ['{{ payload.missing }}', 1] }, new Set())
  expect(await config(scope, secrets)).toEqual({ list: [null, 1] })
})

test('parameters by their names keep those that give nothing, as null; what is inside them does not', async () => {
  const params = {
    email: '{{ payload.missing }}',
    id: '{{ payload.segment }}',
    json: { gone: '{{ payload.missing }}' },
  }
  const config = compileConfig({ params, other: { gone: '{{ payload.missing }}' } }, new Set(), new Set(['params']))
  expect(await config(scope, secrets)).toEqual({ params: { email: null, id: 7, json: {} }, other: {} })
})

test('a literal field is never evaluated', async () => {
  const sql = "select '{{ payload.email }}'"
  expect(await compileConfig({ sql }, new Set(['sql']))(scope, secrets)).toEqual({ sql })
})

test('all faults are told at once, each with its pointer', () => {
  expect(faultsOfExpressions({ a: '{{ ( }}', 'b/c': ['fine', '{{ payload. }}'], d: '{{ payload.x }}' })).toEqual([
    { pointer: '/a', message: expect.stringMatching(/, at character \d+$/) },
    { pointer: '/b~1c/1', message: expect.stringMatching(/, at character \d+$/) },
  ])
})

test('a config has no more expressions, and no longer ones, than are read in a second', () => {
  const many = (count: number, text = '{{1}}') => ({
    list: [text.repeat(count / 2)],
    other: { text: text.repeat(count / 2) },
  })
  expect(faultsOfExpressions(many(1_000))).toEqual([])
  expect(faultsOfExpressions(many(200_000))).toEqual([
    { pointer: '', message: 'has 200,000 expressions, and 1,000 are allowed in one config' },
  ])
  expect(faultsOfExpressions({ text: '{{'.repeat(100_000) })).toHaveLength(1)
  expect(faultsOfExpressions(many(10, `{{ "${'x'.repeat(30_000)}" }}`))).toEqual([
    { pointer: '', message: 'has 300,040 characters of expressions, and 262,144 are allowed in one config' },
  ])
})

test('of an expression that is all of a text, what stands behind a "}}" within it counts as well', () => {
  const text = `{{ {"a": {"b": 1}} ~> |$|{"c": "${'x'.repeat(30_000)}"}| }}`
  expect(faultsOfExpressions({ list: Array(8).fill(text) })).toEqual([])
  expect(faultsOfExpressions({ list: Array(10).fill(text) })).toEqual([
    {
      pointer: '',
      message: expect.stringMatching(/^has 300,\d{3} characters of expressions, and 262,144 are allowed/),
    },
  ])
})

test('what is read twice and twice again counts for all expressions of a config together', () => {
  const nested = `${'('.repeat(13)}payload.a${' ?: 1)'.repeat(13)}`
  expect(faultsOfExpressions({ list: Array(20).fill(`{{ ${nested} }}`) })).toEqual([
    {
      pointer: '/list/3',
      message: expect.stringMatching(/^has 622,\d{3} characters that are read up to here, .* 524,288 are allowed/),
    },
  ])
})

test('an expression that fails is told with its place in the config, itself and the types of what it read', async () => {
  const config = compileConfig({ by: 1, 'a/b': ['fine', { c: '{{ payload.email * 2 }}' }] }, new Set())
  await expect(config(scope, secrets)).rejects.toMatchObject({
    code: 'expression_failed',
    final: true,
    message:
      '/a~1b/1/c: "{{ payload.email * 2 }}": The left side of the "*" operator must evaluate to a number, ' +
      'at character 16 (payload.email is a string)',
  })
  const inText = compileConfig({ text: 'Dear {{ payload.name }}' }, new Set())
  await expect(inText(scope, secrets)).rejects.toThrow('/text: "{{ payload.name }}" inside a text gave nothing')
  expect(() => compileConfig({ list: ['{{ ( }}'] }, new Set())).toThrow(/^\/list\/0: "\{\{ \( \}\}": /)
})

test('a secret anywhere in a config is filled in, and no expression sees it or makes one', async () => {
  const reference = { $secret: 'crm-token' }
  const config = compileConfig(
    { token: reference, deep: { list: [reference] }, given: '{{ payload }}', whole: '{{ {"$secret": "crm-token"} }}' },
    new Set(),
  )
  expect(await config({ ...scope, payload: reference }, secrets)).toEqual({
    token: 'value of crm-token',
    deep: { list: ['value of crm-token'] },
    given: reference,
    whole: reference,
  })
})

test.each([
  [{ $secret: '../other' }, '$secret must be a name of letters, digits, "-", "_" and "."'],
  [{ $secret: '{{ payload.email }}' }, '$secret must be a name of letters, digits, "-", "_" and "."'],
  [{ $secret: 7 }, '$secret must be a name of letters, digits, "-", "_" and "."'],
  [{ $secret: 'a', other: 1 }, 'must have no member beside $secret'],
])('a reference %j that is wrong is told with its pointer', (reference, message) => {
  expect(faultsOfExpressions({ list: [reference] })).toEqual([{ pointer: '/list/0', message }])
  expect(() => compileConfig({ list: [reference] }, new Set())).toThrow(
    expect.objectContaining({ code: 'config_invalid', message: `/list/0: ${message}` }),
  )
})

test('a path that fails at once leaves the failure of another expression to nobody else', async () => {
  let lists: unknown = []
  for (let depth = 0; depth < 100_000; depth += 1) lists = [lists]
  const config = compileConfig({ late: '{{ payload.email * 2 }}', atOnce: '{{ payload.lists.id }}' }, new Set())
  await expect(config({ ...scope, payload: { ...scope.payload, lists } }, secrets)).rejects.toThrow(
    /^\/atOnce: .* is nested too deeply: it has 100002 levels/,
  )
})
