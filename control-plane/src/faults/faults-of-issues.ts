import * as z from 'zod'
import { didYouMean, type Fault, pointerOf } from './fault.ts'

/**
 * An object that refuses members it does not know. The message of that issue has a line for each of them, with the
 * nearest known name; `faultsOfIssues` makes a fault of each.
 */
export const strictObject = <Shape extends z.core.$ZodLooseShape>(shape: Shape) =>
  z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys'
        ? issue.keys.map((key) => `is not known here${didYouMean(key, Object.keys(shape))}`).join('\n')
        : undefined,
  })

/** The faults that zod found in `input`. */
export const faultsOfIssues = (issues: readonly z.core.$ZodIssue[], input: unknown): Fault[] =>
  issues.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys') {
      const lines = issue.message.split('\n')
      return issue.keys.map((key, index) => ({
        pointer: pointerOf([...issue.path, key]),
        message: lines[index] ?? issue.message,
      }))
    }
    return [{ pointer: pointerOf(issue.path), message: messageOf(issue, valueAt(input, issue.path)) }]
  })

const messageOf = (issue: z.core.$ZodIssue, value: unknown): string => {
  if (issue.code === 'invalid_type' && value === undefined) return `is missing, expected ${issue.expected}`
  if (issue.code === 'invalid_value') {
    const values = issue.values.map(String)
    const expected = value === undefined ? 'is missing, expected' : 'expected'
    const hint = typeof value === 'string' ? didYouMean(value, values) : ''
    return `${expected} one of ${values.map((word) => `"${word}"`).join(', ')}${hint}`
  }
  return issue.message
}

const valueAt = (input: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>(
    (value, name) => (typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined),
    input,
  )
