import { expect, test } from 'vitest'
import * as z from 'zod'
import { notBlank, wordingOf } from './wording.ts'

const wordingsOf = (schema: z.ZodType, value: unknown) =>
  schema.safeParse(value).error?.issues.map((issue) => wordingOf(issue, value))

test.each([
  [z.string(), 7, 'must be a string, 7 came'],
  [z.string(), null, 'must be a string, null came'],
  [z.string(), undefined, 'is missing, must be a string'],
  [z.boolean(), 'yes', 'must be true or false, "yes" came'],
  [z.int(), 0.5, 'must be a whole number, 0.5 came'],
  [z.int(), 'x'.repeat(1000), 'must be a number, a long string came'],
  [z.coerce.number().int(), 'many', 'must be a number, "many" came'],
  [z.array(z.string()), {}, 'must be an array, an object came'],
  [z.object({}), [], 'must be an object, an array came'],
  [z.record(z.string(), z.unknown()), [], 'must be an object, an array came'],
])('a value of another type is told with what was expected and what came (%#)', (schema, value, wording) => {
  expect(wordingsOf(schema, value)).toEqual([wording])
})

test.each([
  [z.enum(['insert', 'select']), 'inser', 'must be one of "insert", "select", "inser" came, did you mean "insert"?'],
  [z.enum(['insert', 'select']), 'x', 'must be one of "insert", "select", "x" came'],
  [z.enum(['insert', 'select']), undefined, 'is missing, must be one of "insert", "select"'],
  [z.enum(['step']), 'Step', 'must be "step", "Step" came'],
])('a word that is none of the known is told with the nearest, if one is near (%#)', (schema, value, wording) => {
  expect(wordingsOf(schema, value)).toEqual([wording])
})

test.each([
  [z.string().min(1), '', 'must not be empty'],
  [z.string().min(3), 'ab', 'must have at least 3 characters'],
  [z.string().max(2), 'abc', 'must have at most 2 characters'],
  [z.array(z.int()).max(2), [1, 2, 3], 'must have at most 2 items'],
  [z.int().min(10), 1, 'must be at least 10'],
  [z.int().max(10), 11, 'must be at most 10'],
  [z.int().positive(), 0, 'must be more than 0'],
  [z.number().lt(1), 1, 'must be less than 1'],
  [z.int().multipleOf(5), 3, 'must be a multiple of 5'],
])('a size or a number out of bounds is told with the bound (%#)', (schema, value, wording) => {
  expect(wordingsOf(schema, value)).toEqual([wording])
})

test.each([
  [z.guid(), '1', 'must be a UUID, "1" came'],
  [z.iso.datetime(), 'today', 'must be an ISO date and time with its zone, such as 2026-01-31T09:00:00Z, "today" came'],
  [z.url({ protocol: /^https?$/ }), 'ftp://b', 'must be an address such as https://example.com, "ftp://b" came'],
  [z.string().regex(/^a/), 'b', 'must match /^a/'],
  [z.string().regex(notBlank), '  ', 'must not be blank'],
])('a text of another form is told with the form (%#)', (schema, value, wording) => {
  expect(wordingsOf(schema, value)).toEqual([wording])
})
