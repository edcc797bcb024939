import { expect, test } from 'vitest'
import { hearOf } from './hear-of.ts'

const refused = new Error('refused')
const refuse = () => {
  throw refused
}

test("what fails and is heard of is nobody else's matter, and more is done behind it", async () => {
  const { give, throwUnheard } = hearOf()
  await expect(give(refuse)).rejects.toBe(refused)
  await expect(give(() => Promise.reject(refused))).rejects.toBe(refused)
  await expect(Promise.all([give(() => null), give(refuse)])).rejects.toBe(refused)
  let done = 0
  await give(() => {
    done += 1
    return null
  })
  expect(done).toBe(1)
  throwUnheard()
})

test('what fails without anybody waiting is told at the end, ends no process, and nothing is done behind it', async () => {
  const { give, throwUnheard } = hearOf()
  let done = 0
  void give(refuse)
  void give(() => {
    done += 1
    return null
  })
  await expect(give(() => null)).rejects.toBe(refused)
  await new Promise(setImmediate)
  expect(done).toBe(0)
  expect(throwUnheard).toThrow(refused)
})

test('whoever waits later hears of it all the same', async () => {
  const { give, throwUnheard } = hearOf()
  const given = give(() => Promise.reject(refused))
  await new Promise(setImmediate)
  expect(throwUnheard).toThrow(refused)
  expect(await given.catch((error: unknown) => error)).toBe(refused)
  throwUnheard()
})
