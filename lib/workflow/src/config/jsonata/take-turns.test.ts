import { expect, test } from 'vitest'
import { takeTurns } from './take-turns.ts'

/** Items such as `a1`, whose line is `a`. */
const waiting = (...items: string[]) => {
  const turns = takeTurns((item: string) => item.slice(0, 1))
  items.forEach(turns.add)
  return turns
}

test('one of each line comes before the second of any, and in a line who came first', () => {
  expect([...waiting('a1', 'a2', 'a3', 'b1', 'c1', 'c2').inOrder()]).toEqual(['a1', 'b1', 'c1', 'a2', 'c2', 'a3'])
})

test('a line that had its turn comes behind the others, also behind one that came meanwhile', () => {
  const turns = waiting('a1', 'a2', 'a3', 'b1', 'b2')
  turns.add('c1')
  turns.served('a1')
  expect([...turns.inOrder()]).toEqual(['b1', 'c1', 'a2', 'b2', 'a3'])
})

test('what is not served is the first again', () => {
  const turns = waiting('a1', 'b1', 'a2')
  expect([...turns.inOrder()]).toEqual([...turns.inOrder()])
})

test('what is withdrawn waits no more, and costs its line no turn', () => {
  const turns = waiting('a1', 'a2', 'b1')
  turns.withdraw('a1')
  expect([...turns.inOrder()]).toEqual(['a2', 'b1'])
})

test('none waits when all are served or withdrawn, and who comes then is the first', () => {
  const turns = waiting('a1', 'b1')
  turns.served('a1')
  expect(turns.isEmpty()).toBe(false)
  turns.withdraw('b1')
  expect(turns.isEmpty()).toBe(true)
  turns.served('a1')
  turns.add('c1')
  expect([...turns.inOrder()]).toEqual(['c1'])
})
