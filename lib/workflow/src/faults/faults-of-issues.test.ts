import { expect, test } from 'vitest'
import * as z from 'zod'
import { faultsOfIssues, strictObject } from './faults-of-issues.ts'

const schema = strictObject({
  name: z.string().min(1),
  outputType: z.enum(['single', 'multiple']).nullable(),
  steps: z.array(strictObject({ config: z.record(z.string(), z.unknown()), timeoutMs: z.int().optional() })),
})

const faultsOf = (input: unknown) => faultsOfIssues(schema.safeParse(input).error?.issues ?? [], input)

test('every fault is told at once, each with its place', () => {
  expect(
    faultsOf({ name: 7, outputType: 'Multiple', steps: [{ config: {} }, { config: [], timeoutMs: 0.5 }] }),
  ).toEqual([
    { pointer: '/name', message: 'must be a string, 7 came' },
    {
      pointer: '/outputType',
      message: 'must be one of "single", "multiple", "Multiple" came, did you mean "multiple"?',
    },
    { pointer: '/steps/1/config', message: 'must be an object, an array came' },
    { pointer: '/steps/1/timeoutMs', message: 'must be a whole number, 0.5 came' },
  ])
})

test('what is missing is called missing', () => {
  expect(faultsOf({ steps: [] })).toEqual([
    { pointer: '/name', message: 'is missing, must be a string' },
    { pointer: '/outputType', message: 'is missing, must be one of "single", "multiple"' },
  ])
})

test('each unknown member is a fault of its own, with the nearest known name', () => {
  expect(
    faultsOf({ name: 'a', outputtype: null, outputType: null, steps: [{ conifg: {}, config: {}, zzz: 1 }] }),
  ).toEqual([
    { pointer: '/steps/0/conifg', message: 'is not known here, did you mean "config"?' },
    { pointer: '/steps/0/zzz', message: 'is not known here' },
    { pointer: '/outputtype', message: 'is not known here, did you mean "outputType"?' },
  ])
})

test('a body that is no object at all is one fault at the root', () => {
  expect(faultsOf([])).toEqual([{ pointer: '', message: 'must be an object, an array came' }])
})
