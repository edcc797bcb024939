import { reasonOf } from './errors.ts'
import { isInstance } from './values/is-instance.ts'
import { pointerInto } from './values/json-pointer.ts'

/** What JSON cannot hold, and where it is, as a JSON pointer (`''` is the value itself). */
export type Loss = { place: string; kind: string; cause?: unknown }

/**
 * The first thing in the value that JSON refuses (a bigint, what lies in itself, a getter that throws) or writes as something
 * else without a word: bytes as an object of numbers, and what has no members to show as `{}`, such as a map, an error or the
 * headers of a request. Of what says itself how it is written (`toJSON`) it goes through what that returns. Left alone is
 * what everybody knows to be left out or written as null: `undefined`, functions, NaN.
 *
 * @throws RangeError for what is nested too deeply, of which `isTooDeep` tells.
 */
export const lostInJson = (value: unknown): Loss | null => {
  /** Where it is at. */
  const path: string[] = []
  /** Whether each of these objects is one that this place lies in. */
  const around = new Map<object, boolean>()

  const kindIn = (given: unknown): string | null => {
    const member = saysItself(given) ? given.toJSON(path.at(-1) ?? '') : given
    if (typeof member === 'bigint') return 'toJSON' in BigInt.prototype ? null : 'bigint'
    if (typeof member !== 'object' || member === null) return null
    const isAround = around.get(member)
    if (isAround !== undefined) return isAround ? 'a circular reference' : null
    const kind = lostKind(member)
    if (kind !== null) return kind
    around.set(member, true)
    for (const key of Object.keys(member)) {
      path.push(key)
      const within = kindIn(Reflect.get(member, key))
      if (within !== null) return within
      path.pop()
    }
    around.set(member, false)
    return null
  }

  const lossOf = (kind: string): Loss => ({ kind, place: path.reduceRight((rest, key) => pointerInto(key, rest), '') })

  try {
    const kind = kindIn(value)
    return kind === null ? null : lossOf(kind)
  } catch (cause) {
    if (isTooDeep(cause)) throw cause
    return { ...lossOf(`what cannot be read: ${reasonOf(cause)}`), cause }
  }
}

/** What V8 throws when there is no room for a further call, and no other RangeError, as that of an invalid date. */
export const isTooDeep = (error: unknown): boolean =>
  isInstance(error, RangeError) && error.message === 'Maximum call stack size exceeded'

/** A function may as well. */
const saysItself = (value: unknown): value is { toJSON(key: string): unknown } =>
  (typeof value === 'object' || typeof value === 'function') &&
  value !== null &&
  'toJSON' in value &&
  typeof value.toJSON === 'function'

/** What JSON knows: the members of these are all that they are, or they stand for what they are made of. */
const knownKinds = new Set(['Object', 'Array', 'String', 'Number', 'Boolean', 'BigInt'])

/** What an object says that it is. */
export const kindOf = (value: object): string => Object.prototype.toString.call(value).slice('[object '.length, -1)

/** What an object is of which JSON writes nothing or something else; null for all others. */
export const lostKind = (value: object): string | null => {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === Array.prototype) return null
  // By what it says of itself: another realm's Map, as of a test runner's, is no instance of ours. All that comes with the
  // language or with Node says what it is; a class of the program's own is an Object, whose members are what it wants written.
  const kind = kindOf(value)
  if (ArrayBuffer.isView(value) || kind === 'Error') return kind
  return knownKinds.has(kind) || Object.keys(value).length > 0 ? null : kind
}
