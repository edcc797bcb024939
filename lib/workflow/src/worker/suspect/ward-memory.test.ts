import { expect, test } from 'vitest'
import { mostOfWardMiB } from './ward-memory.ts'

const mebi = 1024 * 1024

test.each([
  ['in the container of the chart, where half of the heap is 130 MiB', 130, 512 * mebi, 258],
  ['in a larger one', 280, 1_024 * mebi, 512],
  ['in one with room for all that it may take', 280, 4_096 * mebi, 536],
  ['with a heap that somebody has set for it', 300, 512 * mebi, 428],
  ['where nothing is limited, as Linux tells it', 130, 2 ** 64, 386],
  ['where the system tells of no limit', 130, Infinity, 386],
])('a ward is killed with as much memory as leaves its worker room: %s', (_, heapMiB, togetherBytes, most) => {
  expect(mostOfWardMiB(heapMiB, togetherBytes)).toBe(most)
})
