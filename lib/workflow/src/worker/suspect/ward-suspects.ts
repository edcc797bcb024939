import type { By } from '../../job/unit/write-unit.ts'
import { createSuspects, type SuspectEvent, type Suspects } from './suspects.ts'
import { openWard, type WardLimits, type WardProgram } from './ward.ts'

/** Attempts suspects in processes of a program. `onSettle` hears which runs the units of work that these write hint at. */
export const wardSuspects = (
  { program, ...limits }: WardLimits & { program: WardProgram },
  by: By,
  onSettle: (runIds: readonly string[]) => void,
  observe: (event: SuspectEvent) => void,
): Suspects => {
  const suspects = createSuspects({ open: (hooks) => openWard(program, limits, by, hooks), observe })
  return {
    ...suspects,
    attempt: async (suspect, lost, pages) => {
      const answer = await suspects.attempt(suspect, lost, pages)
      if (answer.kind === 'written') onSettle(answer.toSettle)
      return answer
    },
  }
}
