import type { NoAnswer } from '../src/reconciler/cluster/answer.ts'
import type { Seen } from '../src/reconciler/cluster/watch-cron-jobs.ts'
import type { CronJobs } from '../src/reconciler/cron-jobs.ts'
import { labels, ownLabels } from '../src/reconciler/labels.ts'
import type { Actual } from '../src/reconciler/plan-changes.ts'

export const anchor = { name: 'esteira-anchor', uid: 'anchor-uid' }

type Stored = Actual & { spec: string }
export type MemoryCall = { verb: keyof CronJobs; name: string }

/**
 * CronJobs of a cluster in the memory of a test, for what needs an answer of a certain kind at a certain moment; that the
 * real API server answers so is seen in the tests that have one.
 */
export const createMemoryCluster = () => {
  const stored = new Map<string, Stored>()
  const calls: MemoryCall[] = []
  const watchers = new Set<{ onSeen: (seen: Seen) => void; end: (how: { kind: 'ended' } | NoAnswer) => void }>()
  let version = 100
  let fault: ((call: MemoryCall) => NoAnswer | undefined) | undefined

  const answering = <Value>(verb: keyof CronJobs, name: string, work: () => Value) => {
    calls.push({ verb, name })
    const refused = fault?.({ verb, name })
    return refused ?? work()
  }
  const write = (object: Omit<Stored, 'resourceVersion' | 'generation'>): Stored => {
    const before = stored.get(object.name)
    const generation = before === undefined ? 1 : before.generation + Number(before.spec !== object.spec)
    const written = { ...object, generation, resourceVersion: String(++version) }
    stored.set(object.name, written)
    for (const { onSeen } of watchers) onSeen({ deleted: false, object: written })
    return written
  }
  const erase = (name: string): void => {
    const object = stored.get(name)
    stored.delete(name)
    if (object !== undefined) for (const { onSeen } of watchers) onSeen({ deleted: true, object })
  }
  const cronJobs: CronJobs = {
    anchor: async () => answering('anchor', anchor.name, () => ({ kind: 'ok', value: anchor })),
    list: async () =>
      answering('list', '', () => ({
        kind: 'ok',
        value: { items: [...stored.values()].filter(isOurs), resourceVersion: String(version) },
      })),
    watch: async ({ onSeen }, signal) =>
      answering('watch', '', async () => {
        const { promise, resolve } = Promise.withResolvers<{ kind: 'ended' } | NoAnswer>()
        const watcher = { onSeen, end: resolve }
        watchers.add(watcher)
        signal.addEventListener('abort', () => resolve({ kind: 'unknown', words: 'aborted' }))
        const how = await promise
        watchers.delete(watcher)
        return how
      }),
    find: async (name) =>
      answering('find', name, () => {
        const found = stored.get(name)
        return found === undefined ? { kind: 'missing', words: 'no' } : { kind: 'ok', value: found }
      }),
    apply: async ({ manifest, anchor: { uid: owner }, uid }) =>
      answering('apply', manifest.metadata.name, () => {
        const { name } = manifest.metadata
        const before = stored.get(name)
        if (before?.uid !== (uid ?? undefined)) return { kind: 'refused', code: 'Conflict', words: 'uid mismatch' }
        const value = write({
          name,
          uid: before?.uid ?? `uid-${++version}`,
          createdAt: before?.createdAt ?? new Date(),
          deleting: false,
          stepId: manifest.metadata.labels[labels.step] ?? null,
          labels: { ...before?.labels, ...manifest.metadata.labels },
          annotations: { ...before?.annotations, ...manifest.metadata.annotations },
          owners: [owner],
          spec: JSON.stringify(manifest.spec),
        })
        return { kind: 'ok', value }
      }),
    remove: async ({ name, uid }) =>
      answering('remove', name, () => {
        const before = stored.get(name)
        if (before === undefined) return { kind: 'missing', words: 'no' }
        if (before.uid !== uid) return { kind: 'refused', code: 'Conflict', words: 'uid mismatch' }
        erase(name)
        return { kind: 'ok', value: null }
      }),
  }
  return {
    cronJobs,
    calls,
    objects: () => [...stored.values()],
    only: (): Stored => {
      const [object, ...others] = stored.values()
      if (object === undefined || others.length > 0) throw new Error(`there are ${stored.size} objects`)
      return object
    },
    /** Writes as somebody else. */
    write,
    erase,
    /** What calls are answered from now on, in place of what they would be. */
    answers: (next: (call: MemoryCall) => NoAnswer | undefined) => {
      fault = next
    },
    watchers: () => watchers.size,
    endWatches: (how: { kind: 'ended' } | NoAnswer) => {
      for (const { end } of watchers) end(how)
    },
    /** How often each verb was asked for since the last look. */
    counted: (): Partial<Record<keyof CronJobs, number>> => {
      const counts: Partial<Record<keyof CronJobs, number>> = {}
      for (const { verb } of calls.splice(0)) counts[verb] = (counts[verb] ?? 0) + 1
      return counts
    },
  }
}

export type MemoryCluster = ReturnType<typeof createMemoryCluster>

const isOurs = (object: Actual): boolean =>
  Object.entries(ownLabels(anchor.name)).every(([name, value]) => object.labels[name] === value)
