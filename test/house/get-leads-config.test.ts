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

const id = 'must be a whole number above 0, or its digits as a text'
const account = 'must be the name of an account: small letters and digits, 60 at most, with "-" only between them'
const address = 'must be an address such as https://api.example.com, without a user, a query or a fragment'
const time = 'must be an ISO date and time with its zone, such as 2026-01-31T09:00:00Z'

test.each([
  ['segmentationId', 'seven', id],
  ['segmentationId', 0, id],
  ['segmentationId', null, id],
  ['connection', 'Acme', account],
  ['connection', '../acme', account],
  ['baseUrl', 'api.example', address],
  ['baseUrl', 'https://api.example/v2?key=1', address],
  ['baseUrl', 'https://user:hidden@api.example', address],
  ['fields', 'email', 'must be an array, "email" came'],
  ['since', 7, time],
  ['since', '2026-01-02T00:00:00', time],
])('one with %s %j is refused when it is saved, with one fault that says what it takes', (name, value, message) => {
  expect(faultsOf({ ...right, [name]: value })).toEqual([{ pointer: `/${name}`, message }])
})
