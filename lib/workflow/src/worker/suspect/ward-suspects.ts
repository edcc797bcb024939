import { createSuspects, type SuspectEvent, type Suspects } from './suspects.ts'
import type { Ward, WardHooks } from './ward.ts'

/** Attempts suspects in wards. `onSettle` hears which runs the units of work that these write hint at. */
export const wardSuspects = (
  open: (hooks: WardHooks) => Ward,
  onSettle: (runIds: readonly string[]) => void,
  observe: (event: SuspectEvent) => void,
): Suspects => {
  const suspects = createSuspects({ open, observe })
  return {
    ...suspects,
    attempt: async (suspect, lost, pages, receivedMs) => {
      const answer = await suspects.attempt(suspect, lost, pages, receivedMs)
      if (answer.kind === 'written') onSettle(answer.toSettle)
      return answer
    },
  }
}
