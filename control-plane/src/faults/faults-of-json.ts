import { type Fault, pointerOf } from '@esteira/workflow'
import { parseNotingRounded, type Rounded } from './rounded-numbers.ts'

/** Far more than any document needs, and far less than the stack bears. */
const maxDepth = 100

/**
 * What valid JSON may hold and Postgres's `jsonb` or a JavaScript number or object would refuse or change without a word.
 *
 * @throws SyntaxError for text that is no JSON.
 */
export const faultsOfJson = (text: string): Fault[] => {
  const faults: Fault[] = []
  lookInto(JSON.parse(text), [], new Map(), faults)
  // No number of fewer digits is rounded, and most bodies have none that is as long.
  if (faults.length > 0 || !/\d{16}/.test(text)) return faults
  const { value, rounded } = parseNotingRounded(text)
  lookInto(value, [], rounded, faults)
  return faults
}

const lookInto = (value: unknown, path: readonly string[], rounded: Rounded, faults: Fault[]): void => {
  if (typeof value === 'string') faults.push(...faultsOfText(value, path))
  // 1e999 is valid JSON; it would be stored as null.
  if (typeof value === 'number' && !Number.isFinite(value)) faults.push(at(path, 'is a number too large to be kept'))
  if (typeof value !== 'object' || value === null) return
  if (path.length >= maxDepth) {
    faults.push(at(path, `is nested deeper than ${maxDepth} levels`))
    return
  }
  for (const [name, part] of Object.entries(value)) {
    const inner = [...path, name]
    // As a name in an object it would set its prototype, and be gone.
    if (name === '__proto__') faults.push(at(inner, 'is a name that cannot be kept'))
    if (rounded.get(value)?.has(name)) faults.push(at(inner, `would be rounded to ${part}; send it as a string`))
    faults.push(...faultsOfText(name, inner))
    lookInto(part, inner, rounded, faults)
  }
}

const faultsOfText = (text: string, path: readonly string[]): Fault[] => {
  if (text.includes('\u0000')) return [at(path, 'holds the character U+0000, which the database cannot keep')]
  if (!text.isWellFormed()) return [at(path, 'holds half of a surrogate pair, which is no character')]
  return []
}

const at = (path: readonly string[], message: string): Fault => ({ pointer: pointerOf(path), message })
