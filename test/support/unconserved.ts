import { openConservation } from '../../lib/workflow/test/conservation.ts'
import { runOn } from './run-on.ts'

/** Whatever of a database's jobs and counters is not as it must be at every moment. */
export const unconservedIn = async (databaseUrl: string): Promise<unknown[]> => {
  const { untrueCounters, unconserved } = openConservation((text) => runOn(databaseUrl, text))
  return [...(await untrueCounters()), ...(await unconserved())]
}
