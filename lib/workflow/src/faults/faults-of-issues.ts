import { didYouMean } from '@esteira/service'
import * as z from 'zod'
import { type Fault, pointerOf } from './fault.ts'
import { describeKind, type Tell, wordingOf } from './wording.ts'

const notKnown = 'is not known here'

/**
 * An object that refuses members it does not know. The message of that issue has a line for each of them, with the
 * nearest known name; `faultsOfIssues` makes a fault of each.
 */
export const strictObject = <Shape extends z.core.$ZodLooseShape>(shape: Shape) =>
  z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys'
        ? issue.keys.map((key) => `${notKnown}${didYouMean(key, Object.keys(shape))}`).join('\n')
        : undefined,
  })

/** The faults that zod found in `input`. */
export const faultsOfIssues = (issues: readonly z.core.$ZodIssue[], input: unknown, tell?: Tell): Fault[] =>
  issues.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys') {
      const lines = issue.message.split('\n')
      return issue.keys.map((key, index) => ({
        pointer: pointerOf([...issue.path, key]),
        // An object of zod's own knows no nearest name.
        message: lines[index]?.startsWith(notKnown) ? lines[index] : notKnown,
      }))
    }
    return [{ pointer: pointerOf(issue.path), message: wordingOf(issue, valueAt(input, issue.path), tell) }]
  })

/** The faults of `what` in one line that shows no value: `config.by: must be a number, a string came; ...`. */
export const describeIssues = (what: string, issues: readonly z.core.$ZodIssue[], input: unknown): string =>
  faultsOfIssues(issues, input, describeKind)
    .map(({ pointer, message }) => `${what}${pointer.replaceAll('/', '.')}: ${message}`)
    .join('; ')

const valueAt = (input: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>(
    (value, name) => (typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined),
    input,
  )
