import { parseJson } from '@esteira/service'
import { types } from 'pg'

/**
 * How the values of a row go on as JSON. Whatever JSON has no value of its own for stays the text that Postgres writes,
 * and so comes back the same from the next step: pg would make dates in the worker's time zone of it, objects that are
 * no JSON, or numbers that JSON writes as null.
 */
export const parserOf: typeof types.getTypeParser = (
  oid: Parameters<typeof types.getTypeParser>[0],
  format?: 'text' | 'binary',
) => parsers.get(oid) ?? types.getTypeParser(oid, format)

const asText = (text: string): string => text

/** A number, unless it is NaN, an infinity, or the zero below zero, of which JSON has none. */
const asFloat = (text: string): number | string => {
  const number = Number(text)
  return Number.isFinite(number) && !Object.is(number, -0) ? number : text
}

/** Of arrays the types of pg name none. */
const parserOfAny: (oid: number) => (text: string) => unknown = types.getTypeParser

/** The items of an array as Postgres writes them, by the parser of text[]. */
const textsOf = parserOfAny(1009)

const asFloats = (text: string): unknown => mapTexts(textsOf(text), asFloat)

const asJsons = (text: string): unknown => mapTexts(textsOf(text), parseJson)

/** An array may hold arrays, and null where Postgres has it. */
const mapTexts = (value: unknown, change: (text: string) => unknown): unknown => {
  if (Array.isArray(value)) return value.map((item) => mapTexts(item, change))
  return typeof value === 'string' ? change(value) : value
}

/** By oid, with the array of each. */
const parsers = new Map<number, (text: string) => unknown>([
  // bytea, date, timestamp, timestamptz, interval, point, circle
  ...[17, 1082, 1114, 1184, 1186, 600, 718].map((oid) => [oid, asText] as const),
  ...[1001, 1182, 1115, 1185, 1187, 1017, 719].map((oid) => [oid, asText] as const),
  // float4, float8
  ...[700, 701].map((oid) => [oid, asFloat] as const),
  ...[1021, 1022].map((oid) => [oid, asFloats] as const),
  // json, jsonb
  ...[114, 3802].map((oid) => [oid, parseJson] as const),
  ...[199, 3807].map((oid) => [oid, asJsons] as const),
  // numeric[]: its items are texts, as a numeric is
  [1231, textsOf],
])
