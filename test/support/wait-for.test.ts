import { expect, test } from 'vitest'
import { waitFor } from './wait-for.ts'

test('the first truthy value is returned', async () => {
  const values = [undefined, 0, '', 'found', 'later']
  expect(await waitFor(() => values.shift())).toBe('found')
})

test('a condition that throws is not met yet', async () => {
  let looks = 0
  const condition = () => {
    looks += 1
    if (looks < 3) throw new Error('not yet')
    return looks
  }
  expect(await waitFor(condition)).toBe(3)
})

test('at the deadline the last value is told', async () => {
  await expect(waitFor(() => 0, { deadlineMs: 30, describe: 'two rows' })).rejects.toThrow(
    'waited 30 ms in vain for two rows; last seen: 0',
  )
})

test('at the deadline the state is looked at, and the last error is the cause', async () => {
  const failing = waitFor(() => Promise.reject(new Error('gone')), { deadlineMs: 30, describe: () => ({ rows: [1] }) })
  await expect(failing).rejects.toThrow(/in vain for \{ rows: \[ 1 \] \}; last seen: Error: gone/)
  await expect(failing).rejects.toMatchObject({ cause: new Error('gone') })
})
