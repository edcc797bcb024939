import { reasonOf } from '@esteira/service'
import * as z from 'zod'
import type { By } from '../../job/unit/write-unit.ts'
import {
  type Answer,
  type Asked,
  type Counted,
  type Given,
  type Refusal,
  type Said,
  saidSchema,
  type Suspect,
} from './messages.ts'

/** What a ward tells of the jobs in it, by the numbers that they were given, and that it takes some. */
export type SaidHooks = {
  ready: () => void
  begun: (id: number) => void
  filled: (id: number) => void
  called: (id: number) => void
  gave: (id: number, given: Given) => void
  answered: (id: number, answer: Answer, runsOn: boolean) => void
}

/** What a ward is asked for. */
export type Asks = {
  attempt: (id: number, suspect: Suspect) => void
  /** Says that what a job gave is written, and what the job counts then, or which error kept it from being. */
  taken: (id: number, taken: Counted | { error: unknown }) => void
  /** Aborts the signal of a job's function. */
  abort: (id: number, reason: unknown) => void
  /** Has nothing wait for the row of its job any more. */
  stopWaiting: () => void
}

/** Asks a ward by messages. */
export const askBy = (tell: (asked: Asked) => void, by: By): Asks => ({
  attempt: (id, suspect) => tell({ kind: 'attempt', id, suspect, by }),
  taken: (id, taken) =>
    tell({ kind: 'taken', id, taken: 'error' in taken ? { refusal: refusalOf(taken.error) } : taken }),
  abort: (id, reason) =>
    tell({
      kind: 'abort',
      id,
      code: codeOf(reason) === 'cancelled' ? 'cancelled' : 'attempt_failed',
      reason: reason instanceof Error ? reason.message : 'it is not to go on',
    }),
  stopWaiting: () => tell({ kind: 'stop-waiting' }),
})

/**
 * Hears what a ward says by a message; gives it, or undefined when functions, which share the channel, said anything. What is
 * said of a job and cannot be read is its answer: nothing is known of it, and its ward may go on with it.
 */
export const hearSaid = (message: unknown, hooks: SaidHooks): Said | undefined => {
  const { data: said, error } = saidSchema.safeParse(message)
  switch (said?.kind) {
    case 'ready':
      hooks.ready()
      break
    case 'begun':
      hooks.begun(said.id)
      break
    case 'filled':
      hooks.filled(said.id)
      break
    case 'called':
      hooks.called(said.id)
      break
    case 'gave':
      hooks.gave(said.id, said.given)
      break
    case 'answer':
      hooks.answered(said.id, said.answer, said.runsOn)
      break
    case 'alive':
    case 'uncaught':
      break
    case undefined: {
      const { data: unread } = ofJobSchema.safeParse(message)
      if (unread === undefined) break
      const reason = `its process said of it what cannot be read: ${faultIn(error)}`
      hooks.answered(unread.id, { kind: 'broken', reason }, true)
    }
  }
  return said
}

const ofJobSchema = z.object({ kind: z.enum(['begun', 'filled', 'called', 'gave', 'answer']), id: z.int() })

/** Where it is not as it should be, without what is there. */
const faultIn = (error: z.ZodError | undefined): string =>
  (error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ')

/** What a function hears of it; if the house is at fault, what the function makes of that counts for nothing. */
const refusalOf = (error: unknown): Refusal => ({
  code: codeOf(error) === 'output_rejected' ? 'output_rejected' : 'attempt_failed',
  message: reasonOf(error),
})

const codeOf = (reason: unknown): unknown =>
  typeof reason === 'object' && reason !== null && 'code' in reason ? reason.code : undefined
