import { expect, test } from 'vitest'
import { givenWays } from './given-ways.ts'

const host = '10.0.0.5'
const from = (registry: string) => givenWays({ ESTEIRA_TEST_REGISTRY: registry, ESTEIRA_TEST_HOST: host })

test('a cluster that is given by its kubeconfig alone has no ways to this machine', () => {
  expect(givenWays({ ESTEIRA_TEST_KUBECONFIG: 'file' })).toBeNull()
})

test.each([
  ['registry.example/team', { registry: 'registry.example/team/', isPlain: false, host }],
  ['registry.example/team/', { registry: 'registry.example/team/', isPlain: false, host }],
  ['registry.example:5000', { registry: 'registry.example:5000/', isPlain: false, host }],
  ['http://10.0.0.5:5000', { registry: '10.0.0.5:5000/', isPlain: true, host }],
])('the registry %s', (registry, ways) => {
  expect(from(registry)).toEqual(ways)
})

test.each(['', 'https://registry.example', 'registry.example//team', 'registry.example/team?'])(
  'no registry is %j',
  (registry) => {
    expect(() => from(registry)).toThrow('is no registry')
  },
)

test.each(['', 'http://10.0.0.5', '10.0.0.5/24'])('no address of this machine is %j', (address) => {
  const env = { ESTEIRA_TEST_REGISTRY: 'registry.example', ESTEIRA_TEST_HOST: address }
  expect(() => givenWays(env)).toThrow('is no address')
})

test.each([{ ESTEIRA_TEST_REGISTRY: 'registry.example' }, { ESTEIRA_TEST_HOST: host }])(
  'one without the other is refused: %j',
  (env) => {
    expect(() => givenWays(env)).toThrow('together')
  },
)
