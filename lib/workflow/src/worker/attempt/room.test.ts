import { expect, test } from 'vitest'
import { createRoom } from './room.ts'

/** Asks for room, one after the other; `inside` are those who got it, `leave` gives back what one got. */
const setup = (bytes: number, patienceMs = 60_000) => {
  const room = createRoom(bytes, patienceMs)
  const inside = new Map<string, (() => void) | null>()
  const ask = (name: string, asked: number) => {
    void room.enter(asked).then((leave) => inside.set(name, leave))
  }
  const leave = (name: string) => {
    inside.get(name)?.()
    inside.delete(name)
  }
  const settled = () => new Promise(setImmediate)
  const names = (isIn: boolean) => [...inside].flatMap(([name, given]) => ((given !== null) === isIn ? [name] : []))
  const settledNames = async (isIn: boolean) => (await settled(), names(isIn))
  return { ask, leave, inside: () => settledNames(true), late: () => settledNames(false) }
}

test('who asks for room waits until there is enough', async () => {
  const { ask, leave, inside } = setup(100)
  ask('a', 60)
  ask('b', 40)
  ask('c', 30)
  expect(await inside()).toEqual(['a', 'b'])
  leave('b')
  expect(await inside()).toEqual(['a', 'c'])
})

test('nobody overtakes, so that a large one gets its turn', async () => {
  const { ask, leave, inside } = setup(100)
  ask('a', 60)
  ask('large', 90)
  ask('small', 10)
  expect(await inside()).toEqual(['a'])
  leave('a')
  expect(await inside()).toEqual(['large', 'small'])
})

test('one that is larger than the room has it alone', async () => {
  const { ask, leave, inside } = setup(100)
  ask('a', 1)
  ask('huge', 1_000)
  ask('b', 1)
  expect(await inside()).toEqual(['a'])
  leave('a')
  expect(await inside()).toEqual(['huge'])
  leave('huge')
  expect(await inside()).toEqual(['b'])
})

test('room that is given back twice is there once', async () => {
  const room = createRoom(100, 60_000)
  const leave = await room.enter(60)
  await room.enter(40)
  leave?.()
  leave?.()
  let entered = 0
  for (const asked of [60, 60]) void room.enter(asked).then(() => (entered += 1))
  await new Promise(setImmediate)
  expect(entered).toBe(1)
})

test('who has waited too long gets none, and no longer keeps out those behind it', async () => {
  const { ask, leave, inside, late } = setup(100, 20)
  ask('a', 60)
  ask('large', 90)
  await expect.poll(late).toEqual(['large'])
  expect(await inside()).toEqual(['a'])
  ask('small', 40)
  expect(await inside()).toEqual(['a', 'small'])
  leave('a')
  leave('small')
  ask('all', 100)
  expect(await inside()).toEqual(['all'])
})

test('one that waits behind a large one gets its room as soon as that has waited too long', async () => {
  const { ask, inside, late } = setup(100, 300)
  ask('a', 60)
  ask('large', 90)
  await new Promise((resolve) => setTimeout(resolve, 100))
  ask('small', 40)
  await expect.poll(late).toEqual(['large'])
  expect(await inside()).toEqual(['a', 'small'])
})
