import jsonata from 'jsonata'
import { expect, test } from 'vitest'
import { isSteady, pathsOf, rootsOf } from './syntax.ts'

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

test.each([
  ['a', 'a.x'],
  ['a', '"a".x'],
  ['a', '`a`[0]'],
  ['a b', 'a > -b'],
  ['a b', '{"x": a, "y": [b]}'],
  ['a b c', 'a ? b : c'],
  ['a b', '(a; b).c'],
  ['a b', '$exists(a) and b in [1]'],
  ['a b', '$map(a, function($v) { $v.x & b })'],
  ['a b', '($x := a; $x.c & b)'],
  ['a b', 'a ~> $substring(b)'],
  ['a b', 'a ?? b'],
])('%s are what is looked for first in %s', (roots, source) => {
  const names = rootsOf(jsonata(source).ast()).map(({ name }) => name)
  expect([...new Set(names)].join(' ')).toBe(roots)
})

test.each([
  ['a filter', 'payload[x > 1]'],
  ['a filter of a value', '(payload.list)[x > 1]'],
  ['a later step', 'payload.(x & "y")'],
  ['a function as a later step', 'payload.$uppercase(x)'],
  ['a sort', 'payload^(>x)'],
  ['groups', 'payload{x: y}'],
  ['groups of a value', '(payload.list){x: y}'],
  ['a change', 'payload ~> |x|{"a": y}|'],
  ['an item with a name', 'payload.list@$l.x'],
  ['what all looks at, by its own name', '$.x & $$.x'],
])('a name in %s is looked for in an item', (_, source) => {
  const names = rootsOf(jsonata(source).ast()).map(({ name }) => name)
  expect(names.filter((name) => name !== 'payload')).toEqual([])
})
