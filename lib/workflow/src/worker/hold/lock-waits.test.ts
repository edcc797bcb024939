import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { Lockable } from '../../job/unit/locked-among.ts'
import { createLockWaits } from './lock-waits.ts'

/** Waits for what `locked` has, with a look in each turn; `looks` has the jobs that each asked for. */
const setup = () => {
  const locked = new Set<string>()
  const looks: string[][] = []
  let fault: Error | null = null
  const lockedAmong = async (jobs: readonly Lockable[]) => {
    looks.push(jobs.map(({ id }) => id))
    if (fault !== null) throw fault
    return locked
  }
  const fail = (error: Error) => {
    fault = error
  }
  return { locked, looks, fail, waits: createLockWaits({ lockedAmong, pause: () => turn() }) }
}

const one = { id: 'one', runId: 'run' }
const other = { id: 'other', runId: 'another run' }

test('all who wait are looked at together, and each goes on when what it waits for is free', async () => {
  const { locked, looks, waits } = setup()
  locked.add('run').add('other')
  const [first, second, third] = [
    waits.untilFree(one, 'run'),
    waits.untilFree(one, 'run'),
    waits.untilFree(other, 'other'),
  ]
  await turn()
  await turn()
  expect(looks.at(-1)).toEqual(['one', 'other'])
  expect([waits.isHeld('run'), waits.isHeld('other'), waits.isHeld('one')]).toEqual([true, true, false])
  locked.delete('run')
  expect(await Promise.all([first, second])).toEqual([true, true])
  expect([waits.isHeld('run'), waits.isHeld('other')]).toEqual([false, true])
  locked.clear()
  expect(await third).toBe(true)
  const looked = looks.length
  await turn()
  await turn()
  expect(looks).toHaveLength(looked)
})

test('who waits for too long hears that it is not free, and others wait on', async () => {
  const { locked, waits } = setup()
  locked.add('run')
  const patient = waits.untilFree(one, 'run')
  expect(await waits.untilFree(one, 'run', 0)).toBe(false)
  expect(await waits.untilFree(one, 'run', -1)).toBe(false)
  expect(waits.isHeld('run')).toBe(true)
  locked.clear()
  expect(await patient).toBe(true)
})

test('when it is stopped all who wait hear that it is not free, and so does whoever comes then', async () => {
  const { locked, looks, waits } = setup()
  locked.add('run')
  const waiting = [waits.untilFree(one, 'run'), waits.untilFree(one, 'run', 600_000)]
  await turn()
  waits.stop()
  expect(await Promise.all(waiting)).toEqual([false, false])
  expect(waits.isHeld('run')).toBe(false)
  await turn()
  const looked = looks.length
  expect(await waits.untilFree(one, 'run')).toBe(false)
  await turn()
  expect(looks).toHaveLength(looked)
})

test('what keeps locks from being looked at is thrown to all who wait, and the next who come are looked at again', async () => {
  const { locked, fail, waits } = setup()
  locked.add('run').add('other')
  const waiting = [waits.untilFree(one, 'run'), waits.untilFree(other, 'other')]
  const gone = new Error('the worker has stopped')
  fail(gone)
  expect(await Promise.allSettled(waiting)).toEqual(waiting.map(() => ({ status: 'rejected', reason: gone })))
  expect(waits.isHeld('run')).toBe(false)
  await expect(waits.untilFree(one, 'run')).rejects.toBe(gone)
})
