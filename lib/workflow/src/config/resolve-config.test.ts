import { expect, test } from 'vitest'
import { compileConfig, faultsOfExpressions } from './resolve-config.ts'

const scope = {
  payload: { email: 'ana@example.com', segment: 7 },
  run: { id: 'run-1', workflowId: 'workflow-1' },
  step: { id: 'step-1', name: 'save' },
}

test('expressions anywhere in a config are evaluated, everything else stays', async () => {
  const config = compileConfig(
    { id: '{{ payload.segment }}', fixed: 3, deep: { list: ['{{ payload.email }}', true, null] } },
    new Set(),
  )
  expect(await config(scope)).toEqual({ id: 7, fixed: 3, deep: { list: ['ana@example.com', true, null] } })
})

test('what gives nothing is left out of an object and is null in a list, so that parameters do not shift', async () => {
  const config = compileConfig({ gone: '{{ payload.missing }}', list: ['{{ payload.missing }}', 1] }, new Set())
  expect(await config(scope)).toEqual({ list: [null, 1] })
})

test('a literal field is never evaluated', async () => {
  const sql = "select '{{ payload.email }}'"
  expect(await compileConfig({ sql }, new Set(['sql']))(scope)).toEqual({ sql })
})

test('all faults are told at once, each with its pointer', () => {
  expect(faultsOfExpressions({ a: '{{ ( }}', 'b/c': ['fine', '{{ payload. }}'], d: '{{ payload.x }}' })).toEqual([
    { pointer: '/a', message: expect.stringMatching(/, at character \d+$/) },
    { pointer: '/b~1c/1', message: expect.stringMatching(/, at character \d+$/) },
  ])
})

test('an expression that fails is told with its place in the config, itself and the types of what it read', async () => {
  const config = compileConfig({ by: 1, 'a/b': ['fine', { c: '{{ payload.email * 2 }}' }] }, new Set())
  await expect(config(scope)).rejects.toMatchObject({
    code: 'expression_failed',
    final: true,
    message:
      '/a~1b/1/c: "{{ payload.email * 2 }}": The left side of the "*" operator must evaluate to a number, ' +
      'at character 16 (payload.email is a string)',
  })
  const inText = compileConfig({ text: 'Dear {{ payload.name }}' }, new Set())
  await expect(inText(scope)).rejects.toThrow('/text: "{{ payload.name }}" inside a text gave nothing')
  expect(() => compileConfig({ list: ['{{ ( }}'] }, new Set())).toThrow(/^\/list\/0: "\{\{ \( \}\}": /)
})
