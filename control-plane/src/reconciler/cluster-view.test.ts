import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createMemoryCluster } from '../../test/memory-cluster.ts'
import { createClusterView, type ViewEvent } from './cluster-view.ts'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

const resyncMs = 30_000

const setup = () => {
  const cluster = createMemoryCluster()
  const events: ViewEvent[] = []
  const told = { news: 0 }
  const view = createClusterView({
    cronJobs: cluster.cronJobs,
    onNews: () => {
      told.news += 1
    },
    observe: (event) => events.push(event),
    resyncMs,
  })
  /** Looks every second, as the reconciler does every few. */
  const lookFor = async (seconds: number): Promise<void> => {
    for (let second = 0; second < seconds; second += 1) {
      await view.look()
      await vi.advanceTimersByTimeAsync(1_000)
    }
  }
  return { ...cluster, view, events, told, lookFor }
}

const away = { kind: 'unknown', words: 'connect ECONNREFUSED' } as const

test('between two lists it asks for nothing, and a list follows when the watch has had its time', async () => {
  const { view, counted, endWatches, told, lookFor } = setup()
  await lookFor(20)
  expect(counted()).toEqual({ anchor: 1, list: 1, watch: 1 })
  endWatches({ kind: 'ended' })
  await vi.advanceTimersByTimeAsync(0)
  expect(told.news).toBe(1)
  await view.look()
  expect(counted()).toEqual({ anchor: 1, list: 1, watch: 1 })
  await view.close()
})

test('a watch that hangs is left, and the list comes all the same', async () => {
  const { view, counted, watchers, lookFor } = setup()
  await view.look()
  counted()
  await lookFor(40)
  expect(counted()).toEqual({ anchor: 1, list: 1, watch: 1 })
  expect(watchers()).toBe(1)
  await view.close()
  expect(watchers()).toBe(0)
})

test('a watch whose moment the server has forgotten leads to a list at once', async () => {
  const { view, counted, endWatches, lookFor } = setup()
  await lookFor(10)
  counted()
  endWatches({ kind: 'expired', words: 'too old resource version' })
  await vi.advanceTimersByTimeAsync(0)
  await view.look()
  expect(counted()).toEqual({ anchor: 1, list: 1, watch: 1 })
  await view.close()
})

test('a watch that never works costs one list a resync', async () => {
  const { view, counted, answers, lookFor } = setup()
  answers(({ verb }) => (verb === 'watch' ? { kind: 'refused', code: 'Forbidden', words: 'no watch' } : undefined))
  await lookFor(300)
  const { list = 0, watch } = counted()
  expect(list).toBeGreaterThanOrEqual(7)
  expect(list).toBeLessThanOrEqual(13)
  expect(watch).toBe(list)
  await view.close()
})

test('an API server that is away for ten minutes is asked ever more rarely, and soon after it is back', async () => {
  const { view, counted, answers, events, lookFor } = setup()
  await view.look()
  counted()
  answers(() => away)
  view.hold(away)
  await lookFor(600)
  const asked = counted().anchor ?? 0
  expect(asked).toBeGreaterThan(20)
  expect(asked).toBeLessThan(50)
  expect(await view.look()).toEqual({ kind: 'away', trouble: 'unreachable', code: null, words: away.words })
  const askedBesides = counted().anchor ?? 0
  for (const event of events)
    if (event.kind === 'cluster.unavailable') expect(event.pauseMs).toBeLessThanOrEqual(30_000)
  answers(() => undefined)
  await lookFor(31)
  expect((await view.look()).kind).toBe('seen')
  expect(events.at(-1)).toEqual({ kind: 'cluster.back', failures: asked + askedBesides + 1 })
  await view.close()
})

test('a server that asks for time gets it', async () => {
  const { view, counted, answers, lookFor } = setup()
  answers(() => ({ kind: 'later', words: 'slow down', afterMs: 20_000 }))
  await lookFor(19)
  expect(counted()).toEqual({ anchor: 1 })
  answers(() => undefined)
  await lookFor(3)
  expect((await view.look()).kind).toBe('seen')
  await view.close()
})

test('a list that is refused is told with the words of the API server', async () => {
  const { view, answers } = setup()
  const words = 'cronjobs.batch is forbidden: User "x" cannot list resource "cronjobs"'
  answers(({ verb }) => (verb === 'list' ? { kind: 'refused', code: 'Forbidden', words } : undefined))
  expect(await view.look()).toEqual({ kind: 'away', trouble: 'refused', code: 'Forbidden', words })
  await view.close()
})

test('without the anchor it lists nothing, looks for it again, and says so each time', async () => {
  const { view, counted, answers, events, lookFor } = setup()
  answers(({ verb }) => (verb === 'anchor' ? { kind: 'missing', words: 'configmaps "x" not found' } : undefined))
  await lookFor(100)
  const { anchor = 0, ...others } = counted()
  expect(others).toEqual({})
  expect(anchor).toBeGreaterThanOrEqual(3)
  expect(anchor).toBeLessThanOrEqual(5)
  const missing = { kind: 'anchor.missing', reason: 'configmaps "x" not found' }
  expect(events).toEqual(Array.from({ length: anchor }, () => missing))
  answers(() => undefined)
  await lookFor(31)
  expect((await view.look()).kind).toBe('seen')
  await view.close()
})

test('what a watch tells is in the view, and wakes whoever waits for it', async () => {
  const { view, cronJobs, told, erase } = setup()
  const made = await cronJobs.apply({
    manifest: {
      metadata: {
        name: 'x',
        labels: { 'app.kubernetes.io/managed-by': 'esteira', 'esteira.dev/anchor': 'esteira-anchor' },
        annotations: {},
      },
      spec: { schedule: '@daily', jobTemplate: {} },
    },
    anchor: { name: 'esteira-anchor', uid: 'anchor-uid' },
    uid: null,
  })
  expect(made.kind).toBe('ok')
  const seen = await view.look()
  if (seen.kind !== 'seen') throw new Error('there is a cluster')
  expect(seen.picture.objects()).toHaveLength(1)
  erase('x')
  expect(told.news).toBe(1)
  expect(seen.picture.objects()).toEqual([])
  await view.close()
})
