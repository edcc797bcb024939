import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { hearAbort } from './hear-abort.ts'

test('an abort is heard by all who still listen, and the signal has one listener for them', () => {
  const { signal, abort } = aController()
  const heard: string[] = []
  hearAbort(signal, () => heard.push('first'))
  const leave = hearAbort(signal, () => heard.push('second'))
  hearAbort(signal, () => heard.push('third'))
  leave()
  expect(getEventListeners(signal, 'abort')).toHaveLength(1)
  abort()
  expect(heard).toEqual(['first', 'third'])
})

test('an abort that was before is heard at once', () => {
  const { signal, abort } = aController()
  abort()
  let isHeard = false
  hearAbort(signal, () => {
    isHeard = true
  })
  expect(isHeard).toBe(true)
})

const aController = () => {
  const controller = new AbortController()
  return { signal: controller.signal, abort: () => controller.abort() }
}
