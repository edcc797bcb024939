import { expect, test } from 'vitest'
import type { StepInput } from './document.ts'
import { type KnownSteps, placeSteps } from './place-steps.ts'

const step = (input: Partial<StepInput> & { name: string }): StepInput => ({
  functionName: 'Database.query',
  config: {},
  nextStep: null,
  outputType: null,
  retry: {},
  timeoutMs: null,
  ...input,
})

const nothing: KnownSteps = { current: [], everUsed: new Set() }

const place = (inputs: StepInput[], known: Partial<KnownSteps> = {}) => {
  let drawn = 0
  const { steps, faults } = placeSteps(inputs, { ...nothing, ...known }, () => `new-${(drawn += 1)}`)
  return { ids: steps.map(({ id }) => id), next: steps.map(({ nextStep }) => nextStep), faults }
}

test('a next step is found by name or by id', () => {
  const known = { current: [{ id: 'c', name: 'third' }], everUsed: new Set(['c']) }
  expect(
    place(
      [step({ name: 'first', nextStep: 'second' }), step({ name: 'second', nextStep: 'c' }), step({ name: 'third' })],
      known,
    ),
  ).toEqual({
    ids: ['new-1', 'new-2', 'c'],
    next: ['new-2', 'c', null],
    faults: [],
  })
})

test('a step keeps its id by its name, and through a new name by the id it brings', () => {
  const known = {
    current: [
      { id: 'a', name: 'get' },
      { id: 'b', name: 'insert' },
    ],
    everUsed: new Set(['b']),
  }
  expect(place([step({ name: 'get' }), step({ id: 'b', name: 'insert into crm' })], known).ids).toEqual(['a', 'b'])
})

test('a new step that takes over a name does not take the id of the step that moved on', () => {
  const known = { current: [{ id: 'a', name: 'get' }], everUsed: new Set(['a']) }
  expect(place([step({ id: 'a', name: 'get all' }), step({ name: 'get' })], known).ids).toEqual(['a', 'new-1'])
})

test('an id wins over a step that is named like it', () => {
  const known = { current: [], everUsed: new Set(['x']) }
  const inputs = [step({ name: 'first', nextStep: 'x' }), step({ name: 'x' }), step({ id: 'x', name: 'other' })]
  expect(place(inputs, known).next[0]).toBe('x')
})

test('a step that was deleted can come back under its id', () => {
  expect(place([step({ id: 'old', name: 'get' })], { everUsed: new Set(['old']) })).toMatchObject({
    ids: ['old'],
    faults: [],
  })
})

test('a next step that is not there is refused with the nearest name', () => {
  expect(place([step({ name: 'get', nextStep: 'Insert' }), step({ name: 'insert' })]).faults).toEqual([
    { pointer: '/0/nextStep', message: 'there is no step "Insert" in this workflow, did you mean "insert"?' },
  ])
})

test('names and ids that come twice are refused where they come', () => {
  const known = { current: [], everUsed: new Set(['a']) }
  const inputs = [step({ id: 'a', name: 'get' }), step({ id: 'a', name: 'put' }), step({ name: 'get' })]
  expect(place(inputs, known).faults).toEqual([
    { pointer: '/1/id', message: 'the step at 0 has the same id' },
    { pointer: '/0/name', message: 'another step of this workflow is named "get" too' },
    { pointer: '/2/name', message: 'another step of this workflow is named "get" too' },
  ])
})

test('an id that this workflow never gave is refused', () => {
  expect(place([step({ id: 'of another', name: 'get' })]).faults).toEqual([
    { pointer: '/0/id', message: 'no step of this workflow ever had this id; leave it out for a new step' },
  ])
})
