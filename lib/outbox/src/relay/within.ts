/** The longest time that a timer takes, milliseconds: one that gets more is over at once. */
const longestMs = 2 ** 31 - 1

/** Whether the work ended within the time. Work that takes longer goes on, but nobody waits for it. */
export const within = async (ms: number, work: Promise<unknown>): Promise<boolean> => {
  const late = Promise.withResolvers<boolean>()
  const timer = setTimeout(() => late.resolve(false), Math.min(ms, longestMs))
  try {
    return await Promise.race([work.then(() => true), late.promise])
  } finally {
    clearTimeout(timer)
  }
}
