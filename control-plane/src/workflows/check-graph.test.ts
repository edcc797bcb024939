import fc from 'fast-check'
import { expect, test } from 'vitest'
import { faultsOfGraph, firstSteps } from './check-graph.ts'

const node = (name: string, nextStep: string | null, functionName = 'Database.query') => ({
  id: name,
  name,
  nextStep,
  functionName,
})

test('a chain and several ways into one step are fine', () => {
  const steps = [
    node('tick', 'get', 'CronJob'),
    node('other tick', 'get', 'CronJob'),
    node('get', 'put'),
    node('put', null),
  ]
  expect(faultsOfGraph(steps)).toEqual([])
})

test('a circle is refused at each of its steps, named in its order', () => {
  expect(faultsOfGraph([node('a', 'b'), node('b', 'c'), node('c', 'b')])).toEqual([
    { pointer: '/1/nextStep', message: 'leads back to the step itself: b → c → b' },
    { pointer: '/2/nextStep', message: 'leads back to the step itself: c → b → c' },
  ])
  expect(faultsOfGraph([node('a', 'a')])).toEqual([
    { pointer: '/0/nextStep', message: 'leads back to the step itself: a → a' },
  ])
})

test('nothing leads into a CronJob', () => {
  expect(faultsOfGraph([node('get', 'tick'), node('tick', null, 'CronJob')])).toEqual([
    { pointer: '/0/nextStep', message: 'step "tick" is a CronJob: it begins runs and takes no jobs' },
  ])
})

test('steps are refused exactly where following them would never end', () => {
  const graphs = fc
    .integer({ min: 1, max: 8 })
    .chain((size) => fc.array(fc.option(fc.nat({ max: size - 1 })), { minLength: size, maxLength: size }))
  fc.assert(
    fc.property(graphs, (nexts) => {
      const steps = nexts.map((next, index) => node(String(index), next === null ? null : String(next)))
      const circular = nexts.flatMap((_, start) => {
        let at = nexts[start]
        for (let moves = 1; moves < nexts.length && at !== null && at !== undefined && at !== start; moves += 1)
          at = nexts[at]
        return at === start ? [`/${start}/nextStep`] : []
      })
      expect(faultsOfGraph(steps).map(({ pointer }) => pointer)).toEqual(circular)
    }),
  )
})

test('the first steps are those that no other points to', () => {
  expect(firstSteps([node('a', 'b'), node('b', null), node('c', 'b')]).map(({ id }) => id)).toEqual(['a', 'c'])
})
