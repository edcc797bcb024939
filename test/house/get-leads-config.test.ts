import { expect, test } from 'vitest'
import { configCheckOf } from '../../control-plane/src/workflows/check-config.ts'
import { getLeads } from '../../workers/rd-station-get-leads/src/get-leads.ts'

const faultsOf = configCheckOf(getLeads({ contacts: async function* () {} }))

const right = {
  segmentationId: '7',
  connection: 'acme',
  baseUrl: 'https://api.example',
  fields: ['email'],
  since: '2026-01-02T00:00:00Z',
}

test('a step of RdStation.getLeads is taken with values, and with an expression in place of each', () => {
  expect(faultsOf({ segmentationId: 7 })).toEqual([])
  expect(faultsOf(right)).toEqual([])
  const expressions = Object.keys(right).map((name) => [name, `{{ payload.${name} }}`])
  expect(faultsOf(Object.fromEntries(expressions))).toEqual([])
})

test.each([
  ['segmentationId', 'seven'],
  ['segmentationId', 0],
  ['connection', 'Acme'],
  ['connection', '../acme'],
  ['baseUrl', 'api.example'],
  ['fields', 'email'],
  ['since', 7],
])('one with %s %j is refused when it is saved', (name, value) => {
  const pointers = faultsOf({ ...right, [name]: value }).map(({ pointer }) => pointer)
  expect(new Set(pointers)).toEqual(new Set([`/${name}`]))
})
