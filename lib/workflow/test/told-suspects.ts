import type { By } from '../src/job/unit/write-unit.ts'
import type { Beating } from '../src/worker/hold/beats.ts'
import type { Suspects } from '../src/worker/suspect/suspects.ts'
import { wardSuspects } from '../src/worker/suspect/ward-suspects.ts'
import type { Ward, WardHooks } from '../src/worker/suspect/ward.ts'
import type { WorkerOptions } from '../src/worker/worker-options.ts'
import { type Apart, type Blow, deathBy, openToldWard, type ToldWard } from './told-ward.ts'

type Query = (text: string, values?: unknown[]) => Promise<unknown[]>

type ToldSuspectOptions = {
  by: By
  options: Pick<WorkerOptions, 'functions' | 'databaseUrl' | 'secrets' | 'log'>
  beating: ReadonlySet<Beating>
  query: Query
  maxPayloadBytes: number
  pageAgeMs: number
  hint: (runIds: readonly string[]) => void
}

/** How the sessions of all wards are called in the server, their number behind it. */
export const wardSessions = 'own units of ward'

/** So many wards and places were there before, of all workers. */
let wards = 0
let places = 0

/** The suspects of a worker, and its wards, which die when they are told to. */
export const toldSuspects = ({ query, beating, hint, ...wardOptions }: ToldSuspectOptions) => {
  /** Suspects that are in a ward or wait for one, by their place in the trace: with traces each delivery has its own. */
  const asked = new Map<string, Apart>()
  let ward: ToldWard | null = null
  const dead: string[] = []
  let blow: Blow | null = null

  const died = (one: ToldWard): void => void dead.push(one.name)

  const struck: Parameters<typeof openToldWard>[1]['struck'] = ({ kind }) => {
    if (blow?.at !== kind) return null
    const now = blow
    const { times = 1 } = now
    blow = times > 1 ? { ...now, times: times - 1 } : null
    return now
  }

  const open = (hooks: WardHooks): Ward => {
    wards += 1
    const opened = openToldWard(
      {
        ...hooks,
        died: (death) => {
          died(opened)
          hooks.died(death)
        },
      },
      {
        ...wardOptions,
        name: `${wardSessions} ${wards}`,
        struck,
        apartOf: ({ place }) => {
          const apart = asked.get(place.spanId)
          if (apart === undefined) throw new Error('a ward has a suspect that nobody asked it to attempt')
          return apart
        },
      },
    )
    ward = opened
    return opened.ward
  }

  let suspects = wardSuspects(open, hint, () => {})

  return {
    /**
     * For one delivery. `hear` is told by which beats its job is held when that is to be attempted apart, and null
     * behind it.
     */
    of: (apart: Apart, hear: (by: Beating | null) => void): Suspects => ({
      stop: () => suspects.stop(),
      stopWaiting: () => suspects.stopWaiting(),
      attempt: async (suspect, lost, pages, receivedMs) => {
        const by = [...beating].at(-1)
        if (by === undefined) throw new Error('nothing beats for a job that is attempted apart')
        hear(by)
        places += 1
        const spanId = String(places).padStart(16, '0')
        asked.set(spanId, apart)
        try {
          return await suspects.attempt({ ...suspect, place: { ...suspect.place, spanId } }, lost, pages, receivedMs)
        } finally {
          asked.delete(spanId)
          hear(null)
        }
      },
    }),

    /** Suspects that wait while others are at work in the ward. Without any there they are about to have their turn. */
    inLine: (): number => (ward === null || ward.isOver() || ward.atWork() === 0 ? 0 : asked.size - ward.atWork()),

    /** The ward dies now. */
    kill: (how: Pick<Blow, 'isOwn'>): void => ward?.die(deathBy(how)),
    /** It dies when it says what the blow is for, in what is done here; at the end of that if not before. */
    strike: async (next: Blow, act: () => Promise<void>): Promise<void> => {
      blow = next
      await act()
      if (blow !== null) ward?.die(deathBy(blow))
      blow = null
    },
    /** The worker is dead, and its ward with it. What is left of a worker that only looked dead has another ward. */
    die: (): void => {
      suspects = wardSuspects(open, hint, () => {})
      asked.clear()
      if (ward === null) return
      ward.vanish()
      died(ward)
      ward = null
    },
    /** Of a process that is dead no session stays. Resolves to whether there is none. */
    areGone: async (): Promise<boolean> => dead.length === 0 || (await query(endSql, [dead])).length === 0,
  }
}

const endSql = `
  select pg_terminate_backend(pid) from pg_stat_activity
  where datname = current_database() and replace(application_name, ' (ward)', '') = any ($1)`
