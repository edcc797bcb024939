import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createInHand } from './in-hand.ts'

const message = (deliveryTag: number) => ({ fields: { deliveryTag } })

/** So many messages in hand. */
const setup = (count: number) => {
  const inHand = createInHand<ReturnType<typeof message>>()
  const messages = Array.from({ length: count }, (_, index) => message(index + 1))
  for (const one of messages) inHand.take(one)
  const finish = (...tags: number[]) => {
    for (const tag of tags) expect(inHand.finish(messages[tag - 1] ?? message(0))).toBe(true)
  }
  const acks = () => inHand.takeAcks().map((ack) => [ack.message.fields.deliveryTag, ack.allUpTo])
  return { inHand, messages, finish, acks }
}

test('messages that are all done are acked with one ack, in whatever order they ended', () => {
  const { finish, acks, inHand } = setup(5)
  finish(3, 1, 5, 2, 4)
  expect(acks()).toEqual([[5, true]])
  expect(inHand.size()).toBe(0)
  expect(acks()).toEqual([])
})

test('one that is not done holds back no other: those below it go together, those above it each alone', () => {
  const { finish, acks, inHand } = setup(6)
  finish(6, 2, 1, 5)
  expect(acks()).toEqual([
    [2, true],
    [5, false],
    [6, false],
  ])
  finish(3)
  expect(acks()).toEqual([[3, false]])
  finish(4)
  expect(acks()).toEqual([[4, false]])
  expect(inHand.size()).toBe(0)
})

test('a message that is to go back is not acked by those after it', () => {
  const { finish, acks, inHand, messages } = setup(4)
  finish(2, 3)
  expect(acks()).toEqual([
    [2, false],
    [3, false],
  ])
  const [first = message(0)] = messages
  expect(inHand.giveUp(first)).toBe(true)
  expect(inHand.finish(first)).toBe(false)
  finish(4)
  expect(acks()).toEqual([[4, false]])
})

test('a message is answered once', () => {
  const { inHand, messages, finish, acks } = setup(1)
  const [only = message(0)] = messages
  finish(1)
  expect(inHand.finish(only)).toBe(false)
  expect(inHand.giveUp(only)).toBe(false)
  expect(acks()).toEqual([[1, false]])
})

test('what a broker understands of the acks is what was done, no more and no less', () => {
  const step = fc.record({ place: fc.nat(), how: fc.constantFrom('take', 'take', 'finish', 'finish', 'giveUp', 'ack') })
  const steps = fc.array(step, { minLength: 20, maxLength: 60 })
  fc.assert(
    fc.property(steps, (taken) => {
      const inHand = createInHand<ReturnType<typeof message>>()
      const atBroker = new Set<number>()
      const open: ReturnType<typeof message>[] = []
      const done = new Set<number>()
      let tag = 0
      for (const { place, how } of [...taken, { place: 0, how: 'ack' }]) {
        if (how === 'take') {
          tag += 1
          const one = message(tag)
          open.push(one)
          inHand.take(one)
          atBroker.add(tag)
        } else if (how === 'ack') {
          for (const { message: acked, allUpTo } of inHand.takeAcks()) {
            for (const each of atBroker) {
              const covered = allUpTo ? each <= acked.fields.deliveryTag : each === acked.fields.deliveryTag
              if (!covered) continue
              expect(done.has(each)).toBe(true)
              atBroker.delete(each)
            }
          }
          for (const each of done) expect(atBroker.has(each)).toBe(false)
        } else {
          const [one] = open.splice(open.length === 0 ? 0 : place % open.length, 1)
          if (one === undefined) continue
          if (how === 'finish') {
            inHand.finish(one)
            done.add(one.fields.deliveryTag)
          } else {
            inHand.giveUp(one)
            atBroker.delete(one.fields.deliveryTag)
          }
        }
      }
      expect(atBroker).toEqual(new Set(open.map(({ fields }) => fields.deliveryTag)))
    }),
  )
})
