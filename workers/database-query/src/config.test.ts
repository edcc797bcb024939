import { expect, test } from 'vitest'
import { configSchema, modeOf, planOf } from './config.ts'

test.each([
  ['select 1', 'query'],
  ['  VALUES (1)', 'query'],
  ['table lead', 'query'],
  ['-- all of them\n/* with\nlines **/ (select 1) union (select 2)', 'query'],
  ['with recent as (select 1) select * from recent', 'query'],
  ['with gone as (delete from lead returning id) select id from gone', 'execute'],
  ['insert into lead select 1', 'execute'],
  ['selection', 'execute'],
  ['do $$ begin end $$', 'execute'],
  ['-- nothing', 'execute'],
  [`${'/**/'.repeat(5_000)};`, 'execute'],
  ['', 'execute'],
])('by its words a statement reads or may write: %s', (sql, mode) => {
  expect(modeOf(sql)).toBe(mode)
})

const items = [{ id: 1 }]

const plan = (
  config: object,
  { outputType = null, hasNext = true, payload = { id: 1 }, isReadOnly = false, writes = null }: Partial<Given> = {},
) =>
  planOf(configSchema([]).parse({ connection: 'crm', sql: 'insert into lead values (1)', ...config }), {
    step: { outputType, hasNext },
    payload,
    isReadOnly,
    writes,
  })

type Given = {
  outputType: 'single' | 'multiple' | null
  hasNext: boolean
  payload: unknown
  isReadOnly: boolean
  writes: boolean | null
}

test.each<[string, object, Partial<Given>, object]>([
  ['nothing comes out without an outputType', {}, {}, { rows: 'unwanted', instead: undefined }],
  ['single: the rows, or the payload', {}, { outputType: 'single' }, { rows: 'if any', instead: { id: 1 } }],
  [
    'single at the end: the rows, or nothing',
    {},
    { outputType: 'single', hasNext: false },
    { rows: 'if any', instead: null },
  ],
  ['multiple: the rows, as the payload has no items', {}, { outputType: 'multiple' }, { rows: 'wanted' }],
  [
    'multiple: the rows, or the items',
    {},
    { outputType: 'multiple', payload: items },
    { rows: 'if any', instead: items },
  ],
  ['multiple at the end', {}, { outputType: 'multiple', hasNext: false }, { rows: 'if any', instead: [] }],
  ['output rows', { output: 'rows' }, { outputType: 'single' }, { rows: 'wanted' }],
  ['output payload', { output: 'payload' }, { outputType: 'single' }, { rows: 'unwanted', instead: { id: 1 } }],
  ['output payload without an outputType', { output: 'payload' }, {}, { rows: 'unwanted' }],
  ['output payload with items', { output: 'payload' }, { outputType: 'multiple', payload: items }, { instead: items }],
])('what goes on follows from outputType and nextStep: %s', (_, config, given, expected) => {
  expect(plan(config, given)).toMatchObject(expected)
})

test.each<[object, Partial<Given>, string]>([
  [{ output: 'rows' }, {}, 'config.output "rows" goes on under outputType "single" or "multiple" only'],
  [
    { output: 'payload' },
    { outputType: 'multiple' },
    'config.output "payload" under outputType "multiple" takes a payload that is an array',
  ],
  [
    { mode: 'execute' },
    { isReadOnly: true },
    'config.mode "execute" is for what may write, and the connection "crm" is read-only',
  ],
  [
    { confirm: 'none' },
    { isReadOnly: true },
    'config.confirm "none" is for what may write, and the connection "crm" is read-only',
  ],
  [{ mode: 'query', confirm: 'none' }, {}, 'config.confirm "none" is for what may write, and config.mode is "query"'],
  [
    { sql: 'select touch()', confirm: 'none' },
    { writes: false },
    'config.confirm "none" is for what may write, and config.sql reads: set config.mode to "execute" if it writes',
  ],
])('what does not fit is told before anything runs: %o', (config, given, message) => {
  expect(() => plan(config, given)).toThrow(expect.objectContaining({ code: 'config_invalid', message }))
})

test('on a read-only connection everything reads, whatever its words', () => {
  expect(plan({ sql: 'with gone as (delete from lead) select 1' }, { isReadOnly: true })).toMatchObject({
    mode: 'query',
  })
  expect(plan({ sql: 'with gone as (delete from lead) select 1' })).toMatchObject({ mode: 'execute' })
})

test('what the grammar knows of a statement counts more than its words, and the mode of the config more than both', () => {
  const locking = 'select id from lead for update'
  expect(plan({ sql: locking })).toMatchObject({ mode: 'query' })
  expect(plan({ sql: locking }, { writes: true })).toMatchObject({ mode: 'execute' })
  expect(plan({ sql: 'explain select 1' }, { writes: false })).toMatchObject({ mode: 'query' })
  expect(plan({ sql: locking, mode: 'query' }, { writes: true })).toMatchObject({ mode: 'query' })
})
