import jsonata from 'jsonata'
import { expect, test } from 'vitest'
import { isSteady, pathsOf } from './syntax.ts'

test.each([
  'payload.age > 30 ? "old" : "young"',
  'payload.name & " " & payload.`last name`',
  '$uppercase($trim(payload.name)) & $string(-payload.age + 1)',
  '{"id": payload.id, "tags": [payload.tags.id[], null, true]}',
  '(payload.a = 1 and payload.b in [1, 2]) ?: payload.c',
  'payload.age ?? 0',
])('%s is steady: it is evaluated in place', (source) => {
  expect(isSteady(jsonata(source).ast())).toBe(true)
})

test.each([
  ['a regular expression', '$contains(payload.name, /^(a+)+$/)'],
  ['a filter', 'payload.list[id = 1]'],
  ['a filter of a value', '(payload.list)[$ = 1]'],
  ['a range', '[1..10]'],
  ['a step that is an expression', 'payload.list.(a & b)'],
  ['a function as a step', 'payload.list.$uppercase(id)'],
  ['a lambda', 'function($x) { $x }'],
  ['a function that takes a function', '$map(payload.list, $string)'],
  ['a name for later', '($s := "x"; $s & $s)'],
  ['a function that fills up', '$pad("x", 50000000)'],
  ['a wildcard', 'payload.*'],
  ['descendants', '**.id'],
  ['a sort', 'payload.list^(id)'],
  ['groups', 'payload.list{id: $}'],
  ['a place of an item', 'payload.list#$i.id'],
  ['a chain', 'payload.name ~> $uppercase'],
  ['a change', 'payload ~> |$|{"a": 1}|'],
  ['part of a function', '$substring(?, 1)'],
  ['a part that is not steady, deep within', '{"a": [1, -(payload.b ? $pad("x", 9) : 1)]}'],
])('%s is not steady: %s', (_, source) => {
  expect(isSteady(jsonata(source).ast())).toBe(false)
})

test('the paths that are read are told without those of a filter or a step', () => {
  const paths = (source: string) => pathsOf(jsonata(source).ast()).map((path) => path.join('.'))
  expect(paths('payload.a.b + $sum(run.c) > step.d ? {"x": payload.e} : 1')).toEqual([
    'payload.a.b',
    'run.c',
    'step.d',
    'payload.e',
  ])
  expect(paths('payload.list[price > 9].(name & "x")')).toEqual(['payload.list'])
})
