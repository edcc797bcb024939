import type { By } from '../src/job/unit/write-unit.ts'
import type { StepFunction } from '../src/index.ts'
import type { Death } from '../src/worker/suspect/describe-death.ts'
import type { Asked, Said, Suspect } from '../src/worker/suspect/messages.ts'
import { askBy, hearSaid } from '../src/worker/suspect/speak.ts'
import type { Ward, WardHooks } from '../src/worker/suspect/ward.ts'
import { createWardAttempts } from '../src/worker/suspect/ward-attempts.ts'
import { openWardUnits } from '../src/worker/suspect/ward-units.ts'
import type { WorkerOptions } from '../src/worker/worker-options.ts'

/**
 * What ends a ward: itself, or a signal from outside; now, or when it says something of this kind, in place of that or right
 * behind it, so many times in a row, once unless given.
 */
export type Blow = {
  isOwn: boolean
  at: 'now' | 'begun' | 'gave' | 'called' | 'answer'
  isSaid: boolean
  times?: number
}

/** What a suspect was to the ward that died with it. */
export type DiedWith = { hasBegun: boolean; wasAlone: boolean; isOwn: boolean }

/** A suspect that is to be attempted, by what, and what hears that its ward died. */
export type Apart = { fn: StepFunction; died: (how: DiedWith) => void }

type ToldWardOptions = {
  by: By
  options: Pick<WorkerOptions, 'functions' | 'databaseUrl' | 'secrets' | 'log'>
  /** The name of its sessions in the server. */
  name: string
  maxPayloadBytes: number
  pageAgeMs: number
  apartOf: (suspect: Suspect) => Apart
  /** Hears what it is about to say; gives what is to end it then. */
  struck: (said: Said) => Blow | null
}

/**
 * A ward that is no process, and speaks the same messages: it dies when it is told to, and from then on nothing of it is
 * heard and nothing reaches it.
 */
export const openToldWard = (hooks: WardHooks, toldOptions: ToldWardOptions) => {
  const { by, options, name, apartOf, struck, ...limits } = toldOptions
  const atWork = new Map<number, { apart: Apart; hasBegun: boolean }>()
  let given = 0
  let isOver = false
  let units: ReturnType<typeof openWardUnits> | null = null

  const die = ({ how, isOwn }: Death): void => {
    if (isOver) return
    isOver = true
    attempts.abort(new Error('its process is dead'))
    const wasAlone = given === 1 && atWork.size === 1
    for (const { apart, hasBegun } of atWork.values()) apart.died({ hasBegun, wasAlone, isOwn })
    queueMicrotask(() => hooks.died({ how, isOwn }))
  }

  const say = async (said: Said): Promise<void> => {
    // It is heard a moment later, as everything that comes from elsewhere.
    await Promise.resolve()
    const blow = isOver ? null : struck(said)
    if (!isOver && (blow === null || blow.isSaid)) hear(copyOf(said))
    if (blow !== null) die(deathBy(blow))
    if (isOver) await new Promise(() => {})
  }

  const hear = (said: Said): void => {
    if (said.kind === 'begun') {
      const one = atWork.get(said.id)
      if (one !== undefined) one.hasBegun = true
    }
    if (said.kind === 'answer') atWork.delete(said.id)
    hearSaid(said, hooks)
  }

  const attempts = createWardAttempts({
    ...options,
    ...limits,
    functionOf: (suspect) => apartOf(suspect).fn,
    units: {
      attempt: (...attempt) => {
        units ??= openWardUnits({ ...options, worker: name })
        return units.attempt(...attempt)
      },
      stopWaiting: () => units?.stopWaiting(),
    },
    say,
  })

  const tell = (asked: Asked): void => {
    if (isOver) return
    if (asked.kind === 'attempt') {
      given += 1
      atWork.set(asked.id, { apart: apartOf(asked.suspect), hasBegun: false })
    }
    attempts.hear(copyOf(asked))
  }

  // A process takes a moment to start.
  setImmediate(() => void say({ kind: 'ready' }))
  const ward: Ward = {
    ...askBy(tell, by),
    kill: (why) => die({ how: why, isOwn: true }),
    leave: () => die({ how: 'it was let go', isOwn: true }),
  }
  return {
    ward,
    name,
    die,
    /** Of a worker that is dead nobody hears that its ward is too. */
    vanish: (): void => {
      isOver = true
      attempts.abort(new Error('its worker is dead'))
    },
    isOver: () => isOver,
    atWork: () => atWork.size,
  }
}

export type ToldWard = ReturnType<typeof openToldWard>

export const deathBy = ({ isOwn }: Pick<Blow, 'isOwn'>): Death => ({
  how: isOwn ? 'it ended with exit code 7' : 'it was ended by SIGKILL',
  isOwn,
})

/** What comes through a channel is text on the way. */
const copyOf = <Message extends Asked | Said>(message: Message): Message => JSON.parse(JSON.stringify(message))
