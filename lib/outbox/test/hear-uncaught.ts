import { onTestFinished } from 'vitest'

const removeAll = () => {
  process.removeAllListeners('uncaughtException')
  process.removeAllListeners('unhandledRejection')
}

/** What the process hears of as uncaught, or as rejected with nobody to take it, in place of the test runner. */
export const hearUncaught = (): unknown[] => {
  const heard: unknown[] = []
  const hear = (error: unknown) => void heard.push(error)
  const others = { thrown: process.listeners('uncaughtException'), rejected: process.listeners('unhandledRejection') }
  removeAll()
  process.on('uncaughtException', hear)
  process.on('unhandledRejection', hear)
  onTestFinished(() => {
    removeAll()
    for (const other of others.thrown) process.on('uncaughtException', other)
    for (const other of others.rejected) process.on('unhandledRejection', other)
  })
  return heard
}
