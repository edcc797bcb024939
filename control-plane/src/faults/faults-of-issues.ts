import { didYouMean } from '@esteira/service'
import * as z from 'zod'
import { type Fault, pointerOf } from './fault.ts'
import { wordingOf } from './wording.ts'

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
    return [{ pointer: pointerOf(issue.path), message: wordingOf(issue, valueAt(input, issue.path)) }]
  })

const valueAt = (input: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>(
    (value, name) => (typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined),
    input,
  )
