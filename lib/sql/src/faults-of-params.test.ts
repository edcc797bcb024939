import { expect, test } from 'vitest'
import { faultsOfParams } from './faults-of-params.ts'

const numbered = (parameters: number) => ({ parameters, names: [] })
const named = (...names: string[]) => ({ parameters: names.length, names })

test('values as many as parameters are right, in a list or by name', () => {
  expect(faultsOfParams(numbered(0), [])).toEqual([])
  expect(faultsOfParams(numbered(0), {})).toEqual([])
  expect(faultsOfParams(numbered(2), ['a', null])).toEqual([])
  expect(faultsOfParams(named('a', 'b'), { b: null, a: 1 })).toEqual([])
})

test.each([
  [3, ['a', 'b'], 'has 2 values, and the last parameter of sql is $3'],
  [1, [], 'has no values, and the last parameter of sql is $1'],
  [0, ['a'], 'has 1 value, and sql has no parameter'],
])('%i parameters and the list %j', (parameters, params, message) => {
  expect(faultsOfParams(numbered(parameters), params)).toEqual([{ name: null, message }])
})

test('a list for names and an object for numbers are told what they must be', () => {
  expect(faultsOfParams(named('mail', 'name'), ['x', 'y'])).toEqual([
    { name: null, message: 'must be an object with "mail", "name"' },
  ])
  expect(faultsOfParams(named('mail'), [])).toEqual([{ name: null, message: 'must give "mail": sql has :mail' }])
  expect(faultsOfParams(numbered(1), { mail: 'x' })).toEqual([
    { name: null, message: 'must be an array, as sql has $1: an object came' },
  ])
})

test('names that are missing or not used are each told, with the one that was meant', () => {
  expect(faultsOfParams(named('email', 'name'), { mail: 'x', name: 'y', age: 1 })).toEqual([
    { name: 'email', message: 'is missing: sql has :email' },
    { name: 'mail', message: 'is not used in sql, did you mean "email"?' },
    { name: 'age', message: 'is not used in sql' },
  ])
  expect(faultsOfParams(named('constructor'), {})).toEqual([
    { name: 'constructor', message: 'is missing: sql has :constructor' },
  ])
  expect(faultsOfParams(numbered(0), { name: 'y' })).toEqual([{ name: 'name', message: 'is not used in sql' }])
})
