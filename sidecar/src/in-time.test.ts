import { expect, test } from 'vitest'
import { inTime } from './in-time.ts'

test('an answer that does not come in time is replaced, and not asked for again before it is there', async () => {
  const answers: PromiseWithResolvers<string>[] = []
  const ask = inTime(
    () => {
      const answer = Promise.withResolvers<string>()
      answers.push(answer)
      return answer.promise
    },
    10,
    'late',
  )
  expect(await Promise.all([ask(), ask()])).toEqual(['late', 'late'])
  expect(await ask()).toBe('late')
  expect(answers).toHaveLength(1)
  const inTheEnd = ask()
  answers[0]?.resolve('first')
  expect(await inTheEnd).toBe('first')
  const next = ask()
  expect(answers).toHaveLength(2)
  answers[1]?.reject(new Error('refused'))
  await expect(next).rejects.toThrow('refused')
})
