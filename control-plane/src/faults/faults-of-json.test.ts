import { expect, test } from 'vitest'
import { faultsOfJson } from './faults-of-json.ts'

test('ordinary JSON has no faults', () => {
  expect(faultsOfJson('{"a":[1,-0.5,null,true,"Olá 👋"],"b":{"c":{}}}')).toEqual([])
})

test('what jsonb refuses is found, with its place', () => {
  const body = String.raw`{"a":["x\u0000"],"b":{"\u0000":1},"c":"\ud83d","d":1e999}`
  expect(faultsOfJson(body)).toEqual([
    { pointer: '/a/0', message: 'holds the character U+0000, which the database cannot keep' },
    { pointer: '/b/\u0000', message: 'holds the character U+0000, which the database cannot keep' },
    { pointer: '/c', message: 'holds half of a surrogate pair, which is no character' },
    { pointer: '/d', message: 'is a number too large to be kept' },
  ])
})

test('a whole number that would be rounded is found, and one that is kept as it is, is not', () => {
  const kept = '{"a":9007199254740991,"b":[-1152921504606846976,1.2345678901234567,1e300,"9007199254740993"]}'
  expect(faultsOfJson(kept)).toEqual([])
  expect(faultsOfJson('{"a":{"id":9007199254740993},"b":[0,-12345678901234567890]}')).toEqual([
    { pointer: '/a/id', message: 'would be rounded to 9007199254740992; send it as a string' },
    { pointer: '/b/1', message: 'would be rounded to -12345678901234567000; send it as a string' },
  ])
})

test('a name that an object would swallow is found', () => {
  expect(faultsOfJson('{"payload":{"__proto__":{"x":1}}}')).toEqual([
    { pointer: '/payload/__proto__', message: 'is a name that cannot be kept' },
  ])
})

test('nesting without end is a fault and no overflow', () => {
  const deep = `${'['.repeat(50_000)}1234567890123456${']'.repeat(50_000)}`
  const faults = faultsOfJson(deep)
  expect(faults).toHaveLength(1)
  expect(faults[0]?.message).toBe('is nested deeper than 100 levels')
})

test('slashes and tildes in names are escaped in pointers', () => {
  expect(faultsOfJson(String.raw`{"a/b~c":"\u0000"}`)[0]?.pointer).toBe('/a~1b~0c')
})
