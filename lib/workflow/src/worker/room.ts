/**
 * Room for so many bytes. Who asks for some waits until there is enough, behind those who asked before, and gives it
 * back with what it gets. Who asks for more than there is altogether gets all of it, alone.
 */
export const createRoom = (bytes: number) => {
  let free = bytes
  const waiting: { bytes: number; enter: () => void }[] = []

  const letIn = (): void => {
    for (let next = waiting[0]; next !== undefined && next.bytes <= free; next = waiting[0]) {
      waiting.shift()
      free -= next.bytes
      next.enter()
    }
  }

  return {
    /** Resolves to what gives the room back; a second call of that changes nothing. */
    enter: async (asked: number): Promise<() => void> => {
      const taken = Math.min(asked, bytes)
      const entered = Promise.withResolvers<void>()
      waiting.push({ bytes: taken, enter: entered.resolve })
      letIn()
      await entered.promise
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
