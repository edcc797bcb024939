import { expect, test } from 'vitest'
import { sentOf } from './sent.ts'

test('a statement that many jobs ask for at a time is read once', async () => {
  const sent = await Promise.all(Array.from({ length: 20 }, () => sentOf('select $1::int as number')))
  expect(new Set(sent).size).toBe(1)
})
