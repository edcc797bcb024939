import { createHash } from 'node:crypto'

/** A digest of a value as JSON, the same whatever the order in which the members of its objects came. */
export const specHash = (value: unknown): string =>
  createHash('sha256').update(canonicalJson(value)).digest('hex').slice(0, hashLength)

/** 80 bits: it tells specs of one step apart, and nobody gains by making two alike. */
const hashLength = 20

const canonicalJson = (value: unknown): string =>
  JSON.stringify(value, (_, member: unknown) => (isObject(member) ? sorted(member) : member))

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const sorted = (value: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
