/**
 * Calls what somebody gave the relay, an observer or the like. What that throws is thrown again where nothing of the relay
 * is on the way: as an uncaught exception of the process, like that of a listener of an `EventTarget`.
 */
export const callOut = <Answer>(call: () => Answer): Answer | undefined => {
  try {
    return call()
  } catch (error) {
    process.nextTick(() => {
      throw error
    })
    return undefined
  }
}
