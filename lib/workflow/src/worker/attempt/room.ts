/**
 * Room for so many bytes. Who asks for some waits until there is enough, behind those who asked before, and gives it
 * back with what it gets. Who asks for more than there is altogether gets all of it, alone. Nobody waits longer than
 * `patienceMs`.
 */
export const createRoom = (bytes: number, patienceMs: number) => {
  let free = bytes
  const waiting = new Set<{ bytes: number; enter: (isInside: boolean) => void }>()

  const letIn = (): void => {
    for (const next of waiting) {
      if (next.bytes > free) return
      waiting.delete(next)
      free -= next.bytes
      next.enter(true)
    }
  }

  return {
    /** Resolves to what gives the room back, of which a second call changes nothing; null when there was none in time. */
    enter: async (asked: number): Promise<(() => void) | null> => {
      const taken = Math.min(asked, bytes)
      const entered = Promise.withResolvers<boolean>()
      const one = { bytes: taken, enter: entered.resolve }
      waiting.add(one)
      letIn()
      const late = setTimeout(() => {
        if (!waiting.delete(one)) return
        entered.resolve(false)
        // It may have been all that those behind it waited for.
        letIn()
      }, patienceMs)
      late.unref()
      const hasEntered = await entered.promise
      clearTimeout(late)
      if (!hasEntered) return null
      let isInside = true
      return () => {
        if (!isInside) return
        isInside = false
        free += taken
        letIn()
      }
    },
  }
}
