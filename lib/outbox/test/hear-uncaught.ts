import { onTestFinished } from 'vitest'

/** What the process hears of as uncaught, in place of the test runner. */
export const hearUncaught = (): unknown[] => {
  const heard: unknown[] = []
  const others = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', (error) => void heard.push(error))
  onTestFinished(() => {
    process.removeAllListeners('uncaughtException')
    for (const other of others) process.on('uncaughtException', other)
  })
  return heard
}
