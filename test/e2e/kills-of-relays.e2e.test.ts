import { expect, test } from 'vitest'
import { killRelays } from '../kills/relays/kill-relays.ts'
import { underBlows } from './under-blows.ts'

test('relays, their broker and their database are killed or frozen under load, and nothing is lost, invented, overtaken or parked in vain, also where queues come late or are full', async () => {
  const { committed, parked, keysSetFree } = await underBlows(killRelays, 8)
  expect(committed).toBeGreaterThan(1_000)
  expect(parked).toBeGreaterThan(0)
  expect(keysSetFree).toBeGreaterThan(0)
}, 500_000)
