import { pointerInto } from './json-pointer.ts'

/** What JSON cannot hold, and where it is, as a JSON pointer (`''` is the value itself). */
export type Loss = { place: string; kind: string }

/**
 * The first thing in the value that JSON refuses (a bigint) or writes as something else without a word: bytes as an object of
 * numbers, and what has no members to show as `{}`, such as a map, an error or the headers of a request. What says itself
 * how it is written (`toJSON`) is left to it, and so are what everybody knows to be left out or written as null:
 * `undefined`, functions, NaN.
 */
export const lostInJson = (value: unknown, seen = new Set<object>()): Loss | null => {
  if (typeof value === 'bigint') return 'toJSON' in BigInt.prototype ? null : { place: '', kind: 'bigint' }
  if (typeof value !== 'object' || value === null || seen.has(value)) return null
  seen.add(value)
  if ('toJSON' in value && typeof value.toJSON === 'function') return null
  const kind = lostKind(value)
  if (kind !== null) return { place: '', kind }
  for (const key of Object.keys(value)) {
    const loss = lostInJson(Reflect.get(value, key), seen)
    if (loss !== null) return { ...loss, place: pointerInto(key, loss.place) }
  }
  return null
}

/** What JSON knows: the members of these are all that they are, or they stand for what they are made of. */
const knownKinds = new Set(['Object', 'Array', 'String', 'Number', 'Boolean', 'BigInt'])

const lostKind = (value: object): string | null => {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === Array.prototype) return null
  // By what it says of itself: another realm's Map, as of a test runner's, is no instance of ours. All that comes with the
  // language or with Node says what it is; a class of the program's own is an Object, whose members are what it wants written.
  const kind = Object.prototype.toString.call(value).slice('[object '.length, -1)
  if (ArrayBuffer.isView(value) || kind === 'Error') return kind
  return knownKinds.has(kind) || Object.keys(value).length > 0 ? null : kind
}
