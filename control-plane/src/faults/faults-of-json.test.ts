import { expect, test } from 'vitest'
import { faultsOfJson } from './faults-of-json.ts'

test('ordinary JSON has no faults', () => {
  expect(faultsOfJson(JSON.parse('{"a":[1,-0.5,null,true,"Olá 👋"],"b":{"c":{}}}'))).toEqual([])
})

test('what jsonb refuses is found, with its place', () => {
  const body: unknown = JSON.parse(String.raw`{"a":["x\u0000"],"b":{"\u0000":1},"c":"\ud83d","d":1e999}`)
  expect(faultsOfJson(body)).toEqual([
    { pointer: '/a/0', message: 'holds the character U+0000, which the database cannot keep' },
    { pointer: '/b/\u0000', message: 'holds the character U+0000, which the database cannot keep' },
    { pointer: '/c', message: 'holds half of a surrogate pair, which is no character' },
    { pointer: '/d', message: 'is a number too large to be kept' },
  ])
})

test('a name that an object would swallow is found', () => {
  expect(faultsOfJson(JSON.parse('{"payload":{"__proto__":{"x":1}}}'))).toEqual([
    { pointer: '/payload/__proto__', message: 'is a name that cannot be kept' },
  ])
})

test('nesting without end is a fault and no overflow', () => {
  const deep = '['.repeat(50_000) + ']'.repeat(50_000)
  const faults = faultsOfJson(JSON.parse(deep))
  expect(faults).toHaveLength(1)
  expect(faults[0]?.message).toBe('is nested deeper than 100 levels')
})

test('slashes and tildes in names are escaped in pointers', () => {
  expect(faultsOfJson({ 'a/b~c': '\u0000' })[0]?.pointer).toBe('/a~1b~0c')
})
