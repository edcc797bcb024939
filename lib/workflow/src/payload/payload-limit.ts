import { WorkflowError } from '../errors.ts'
import { bytesInMemory } from './bytes-in-memory.ts'
import type { Placed } from './place-result.ts'
import { jsonOf } from './json-of.ts'

/** What a payload or an output may have as JSON unless a process is told otherwise: as much as a message of the outbox. */
export const defaultMaxPayloadBytes = 1024 * 1024

/** What `ESTEIRA_MAX_PAYLOAD_BYTES` may be. The largest is what Postgres still takes in one statement several times. */
export const maxPayloadRange = { min: 1_024, max: 64 * 1024 * 1024, fallback: defaultMaxPayloadBytes }

/** What results were found to have: to measure one is to print it, and an attempt and its commit both ask. */
const measured = new WeakMap<Placed, number>()

/** How many bytes a placed result adds to the statements of its unit of work. */
export const placedBytes = (placed: Placed): number =>
  measured.get(placed) ?? valuesOf(placed).reduce<number>((sum, value) => sum + jsonBytes(value), 0)

/**
 * Refuses a result of which something that is stored as one value has more bytes than `most`: an item, the whole, or
 * the output. How many items there are is not limited.
 *
 * @throws WorkflowError `payload_too_large`, or `output_rejected` for what is no JSON.
 */
export const limitPlaced = (placed: Placed, step: string, most: number): void => {
  const values = valuesOf(placed)
  let bytes = 0
  for (const [index, value] of values.entries()) {
    const here = jsonBytes(value)
    bytes += here
    if (here <= most) continue
    const isItem = placed.kind === 'items'
    const name = isItem ? `item ${index + 1} of ${values.length}` : 'its result'
    const advice = isItem ? passOn : `give smaller items under outputType "multiple" with a next step, ${passOn}`
    throw tooLarge(`step "${step}": ${name}`, here, most, advice)
  }
  measured.set(placed, bytes)
}

/** What a value has as JSON, and takes in memory when it is parsed, bytes. */
type Size = { bytes: number; inMemory: number }

/**
 * Refuses an item that has more bytes than `most`, and gives what it has; `name` says which it is.
 *
 * @throws WorkflowError `payload_too_large`, or `output_rejected` for what is no JSON.
 */
export const limitItem = (name: string, item: unknown, most: number): Size => {
  const json = jsonOf(item) ?? 'null'
  const bytes = Buffer.byteLength(json)
  if (bytes > most) throw tooLarge(name, bytes, most, passOn)
  return { bytes, inMemory: bytesInMemory(json, bytes) }
}

/**
 * Refuses a payload that comes from outside and has more bytes than `most`; `what` names it.
 *
 * @throws WorkflowError `payload_too_large`.
 */
export const limitPayload = (what: string, payload: unknown, most: number): void => {
  const fault = faultOfPayload(payload, most)
  if (fault !== null) throw new WorkflowError('payload_too_large', `${what} ${fault}`)
}

/** What is wrong with a payload that has more bytes than `most`; null if that is not so. */
export const faultOfPayload = (payload: unknown, most: number): string | null => {
  const bytes = jsonBytes(payload)
  return bytes > most ? sizes(bytes, most, passOn) : null
}

/** What a list may have as JSON whose items become jobs of their own: the whole is stored once, in the step's config. */
const maxListBytes = 64 * 1024 * 1024

/**
 * What is wrong with the payload that a step gives out as its result: one value that has more bytes than `most`, an item
 * that has, or items that have too many together; null if nothing is.
 */
export const faultOfProduct = (payload: unknown, becomesItems: boolean, most: number): string | null => {
  if (!becomesItems || !Array.isArray(payload)) return faultOfPayload(payload, most)
  let whole = 0
  for (const [index, item] of payload.entries()) {
    const bytes = jsonBytes(item)
    whole += bytes
    if (bytes > most) return `has an item, ${index + 1} of ${payload.length}, that ${sizes(bytes, most, passOn)}`
  }
  return whole > maxListBytes ? sizes(whole, maxListBytes, 'have a function read the items, page by page') : null
}

/** Whether a payload has so many bytes that only what refers to it is stored with a job. */
export const isLarge = (payload: unknown, most: number): boolean => jsonBytes(payload) > most

const passOn =
  'pass on where the data lies (a key, an address) in place of the data, or raise ESTEIRA_MAX_PAYLOAD_BYTES'

const tooLarge = (what: string, bytes: number, most: number, advice: string): WorkflowError =>
  new WorkflowError('payload_too_large', `${what} ${sizes(bytes, most, advice)}`)

const sizes = (bytes: number, most: number, advice: string): string => {
  const [came, allowed] = [bytes, most].map((count) => count.toLocaleString('en-US'))
  return `has ${came} bytes as JSON, and ${allowed} are allowed: ${advice}`
}

const jsonBytes = (value: unknown): number => Buffer.byteLength(jsonOf(value) ?? 'null')

/** What of a result is stored, one value each. A list may have holes, and each of them is an item. */
const valuesOf = (placed: Placed): readonly unknown[] => {
  switch (placed.kind) {
    case 'items':
      return Array.from(placed.items)
    case 'whole':
      return [placed.result]
    case 'output':
      return [placed.output]
    case 'input':
      return []
  }
}
