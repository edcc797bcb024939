/**
 * Gives promises of work out, and knows whether anybody waits for one that failed. Until somebody does no more is begun: what
 * comes behind would be done without it. A promise that nobody waits for would end the process, and all that others do there.
 */
export const hearOf = () => {
  type Given = { error: unknown; isHeard: boolean }
  let failed: Given | null = null

  const throwUnheard = (): void => {
    if (failed !== null && !failed.isHeard) throw failed.error
  }

  return {
    /** `work` fails at once, or later. */
    give: (work: () => Promise<void> | null): Promise<void> => {
      const one: Given = { error: null, isHeard: false }
      const done = (async () => {
        throwUnheard()
        try {
          await work()
        } catch (error) {
          one.error = error
          failed = one
          throw error
        }
      })()
      done.catch(() => {})
      const hear = (): Promise<void> => {
        one.isHeard = true
        return done
      }
      // A promise as such is waited for without a word.
      return {
        // oxlint-disable-next-line no-thenable
        then: (...handlers) => hear().then(...handlers),
        catch: (...handlers) => hear().catch(...handlers),
        finally: (...handlers) => hear().finally(...handlers),
        [Symbol.toStringTag]: 'Promise',
      }
    },
    /** @throws what failed last, when nobody has waited for it. */
    throwUnheard,
  }
}
