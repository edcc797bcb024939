import fc from 'fast-check'
import { expect, test } from 'vitest'
import { cronStep } from '../../test/cron-step.ts'
import { podTemplate } from '../../test/pod-template.ts'
import { cronJobManifest } from './cron-job-manifest.ts'
import type { AppliedCronJob } from './cron-job-state.ts'
import type { Desired } from './desired-cron-jobs.ts'
import { annotations, labels } from './labels.ts'
import { type Actual, byStep, type Change, type Known, planChanges } from './plan-changes.ts'
import { isSuspended } from './is-suspended.ts'

const mould = { anchor: 'esteira-anchor', database: 'this', template: podTemplate }
const anchorUid = 'anchor-uid'

const made = new Map<string, Desired>()

/** The CronJob that a step should have, under a name that it may have had before. */
const desiredOf = (stepId: string, { name = `cron-${stepId}`, schedule = '0 * * * *' } = {}): Desired => {
  const key = `${stepId} ${name} ${schedule}`
  const step = cronStep({ stepId, config: { schedule } })
  const desired = made.get(key) ?? { step, ...cronJobManifest(step, { name, mould }) }
  made.set(key, desired)
  return desired
}

let versions = 0

/** The object that applying comes to. */
const objectOf = ({ step, manifest }: Desired, change: Partial<Actual> = {}): Actual => ({
  stepId: step.stepId,
  name: manifest.metadata.name,
  uid: `uid-${step.stepId}`,
  resourceVersion: String(++versions),
  generation: 1,
  createdAt: new Date('2026-03-10T09:00:00Z'),
  deleting: false,
  labels: manifest.metadata.labels,
  annotations: manifest.metadata.annotations,
  owners: [anchorUid],
  ...change,
})

/** What is remembered of applying it. */
const knownOf = ({ step, hash }: Desired, { name, uid, generation }: Actual): [string, AppliedCronJob] => [
  step.stepId,
  {
    object: name,
    uid,
    generation,
    hash,
    schedule: step.config.schedule,
    timeZone: step.config.timeZone,
    suspended: isSuspended(step),
    since: step.since,
    fitsSave: step.savedAt,
  },
]

const plan = (
  desired: readonly Desired[],
  actual: readonly Actual[],
  known: Known,
  untouched: ReadonlySet<string> = new Set(),
): Change[] => planChanges({ desired, untouched, actual: byStep(actual, known), known, anchorUid })

const said = (changes: readonly Change[]): string[] =>
  changes.map(
    (change) => `${change.kind} ${change.why} ${change.kind === 'delete' ? change.name : change.desired.step.stepId}`,
  )

const a = desiredOf('a')
const objectA = objectOf(a)
const knownA = new Map([knownOf(a, objectA)])

test('what is as it should be is left alone', () => {
  expect(plan([a], [objectA], knownA)).toEqual([])
})

test('a step without a CronJob gets one; that it had one before is told apart', () => {
  expect(said(plan([a], [], new Map()))).toEqual(['create new a'])
  expect(said(plan([a], [], knownA))).toEqual(['create lost a'])
})

test('another spec is applied to the object that is there, by its uid', () => {
  const changed = desiredOf('a', { name: objectA.name, schedule: '5 * * * *' })
  expect(plan([changed], [objectA], knownA)).toEqual([
    { kind: 'apply', desired: changed, seen: objectA, why: 'changed' },
  ])
})

const drifts: [string, Partial<Actual>][] = [
  ['spec', { generation: 2 }],
  ['labels', { labels: { ...objectA.labels, [labels.manager]: 'Helm' } }],
  ['annotations', { annotations: { ...objectA.annotations, [annotations.workflow]: 'x' } }],
  ['digest', { annotations: { ...objectA.annotations, [annotations.hash]: 'x' } }],
  ['owner', { owners: [] }],
  ['owner of an earlier release', { owners: ['another'] }],
  ['label of the step', { stepId: null, labels: { ...objectA.labels, [labels.step]: '' } }],
  ['label of the step, to another one', { stepId: 'b', labels: { ...objectA.labels, [labels.step]: 'b' } }],
]

test.each(drifts)('what somebody did to its %s is repaired', (_, change) => {
  expect(said(plan([a], [objectOf(a, change)], knownA))).toEqual(['apply drifted a'])
})

test('what others add to it stays', () => {
  const object = objectOf(a, {
    labels: { ...objectA.labels, team: 'crm' },
    annotations: { ...objectA.annotations, note: 'x' },
    owners: ['another', anchorUid],
  })
  expect(plan([a], [object], knownA)).toEqual([])
})

test('an object that looks right and was applied by nobody we know is applied once', () => {
  expect(said(plan([a], [objectA], new Map()))).toEqual(['apply unverified a'])
})

test('of two for one step the one that we applied stays, else the older one', () => {
  const older = objectOf(a, { name: 'older', uid: 'uid-older', createdAt: new Date(0) })
  expect(said(plan([a], [objectA, older], knownA))).toEqual(['delete twin older'])
  expect(said(plan([a], [objectA, older], new Map()))).toEqual(['apply unverified a', `delete twin ${objectA.name}`])
})

test('the CronJob of a step that is gone is deleted', () => {
  expect(said(plan([], [objectA], knownA))).toEqual([`delete gone ${objectA.name}`])
})

test('the CronJob of a step that is there and cannot be read is left as it is', () => {
  expect(plan([], [objectA], knownA, new Set(['a']))).toEqual([])
})

test('of one that is being deleted and one that stays the latter counts', () => {
  const heir = objectOf(a, { name: 'heir', uid: 'uid-heir', createdAt: new Date() })
  const deleting = { ...objectA, deleting: true }
  expect(said(plan([a], [deleting, heir], knownA))).toEqual(['apply unverified a'])
})

test('an object that is being deleted is waited for', () => {
  const deleting = objectOf(a, { deleting: true, generation: 9 })
  expect(plan([a], [deleting], knownA)).toEqual([])
  expect(plan([], [deleting], knownA)).toEqual([])
})

test('an object that says of no step that it is its own is left alone', () => {
  expect(plan([], [objectOf(a, { stepId: null })], new Map())).toEqual([])
})

/** A cluster in any state, and what is remembered of it, rightly or wrongly. */
const worlds = fc.record({
  desired: fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 4 }),
  objects: fc.array(
    fc.record({
      step: fc.constantFrom('a', 'b', 'c', 'd', 'gone', null),
      schedule: fc.constantFrom('0 * * * *', '5 * * * *'),
      generation: fc.integer({ min: 1, max: 3 }),
      deleting: fc.boolean(),
      owners: fc.constantFrom([], [anchorUid]),
      createdMs: fc.integer({ min: 0, max: 3 }),
      known: fc.boolean(),
    }),
    { maxLength: 8 },
  ),
})

type World = typeof worlds extends fc.Arbitrary<infer T> ? T : never

const build = ({ desired, objects }: World) => {
  const known = new Map<string, AppliedCronJob>()
  const actual = objects.map(({ step, schedule, generation, deleting, owners, createdMs, known: isKnown }, index) => {
    const of = desiredOf(step ?? 'none', { schedule })
    const object = objectOf(of, {
      stepId: step,
      name: `object-${index}`,
      uid: `uid-${index}`,
      generation,
      deleting,
      owners,
      createdAt: new Date(createdMs),
    })
    if (isKnown && step !== null) known.set(...knownOf(of, object))
    return object
  })
  const found = byStep(actual, known)
  return { actual, known, desired: desired.map((step) => desiredOf(step, nameOf(found.get(step)?.[0]))) }
}

const nameOf = (object: Actual | undefined): { name?: string } => (object === undefined ? {} : { name: object.name })

/** What a cluster that refuses nothing makes of the changes. */
const carriedOut = (changes: readonly Change[], actual: readonly Actual[], known: Known) => {
  const objects = new Map(actual.map((object) => [object.uid, object]))
  const remembered = new Map(known)
  for (const change of changes) {
    if (change.kind === 'delete') {
      objects.delete(change.uid)
      continue
    }
    const before = change.kind === 'apply' ? objects.get(change.seen.uid) : undefined
    const object = objectOf(change.desired, {
      name: before?.name ?? change.desired.manifest.metadata.name,
      uid: before?.uid ?? `made-${change.desired.step.stepId}`,
      generation: (before?.generation ?? 0) + 1,
    })
    objects.set(object.uid, object)
    remembered.set(...knownOf(change.desired, object))
  }
  return { actual: [...objects.values()], known: remembered }
}

test('whatever the cluster is like, one turn makes it right, and the next has nothing to do', () => {
  fc.assert(
    fc.property(worlds, (world) => {
      const { desired, actual, known } = build(world)
      const after = carriedOut(plan(desired, actual, known), actual, known)
      expect(said(plan(desired, after.actual, after.known))).toEqual([])
      const living = after.actual.filter(({ deleting, stepId }) => !deleting && stepId !== null)
      for (const { step } of desired) {
        const waited = after.actual.some((object) => object.deleting && object.stepId === step.stepId)
        const own = living.filter(({ stepId }) => stepId === step.stepId)
        if (!waited) expect(own).toHaveLength(1)
      }
    }),
    { numRuns: 200 },
  )
})

test('it names no object twice, and none but what is there', () => {
  fc.assert(
    fc.property(worlds, (world) => {
      const { desired, actual, known } = build(world)
      const named = plan(desired, actual, known).flatMap((change) =>
        change.kind === 'create' ? [] : [change.kind === 'apply' ? change.seen.uid : change.uid],
      )
      expect(new Set(named).size).toBe(named.length)
      const ours = new Set(actual.filter(({ stepId }) => stepId !== null).map(({ uid }) => uid))
      expect(named.filter((uid) => !ours.has(uid))).toEqual([])
      const touched = plan(desired, actual, known).map((change) =>
        change.kind === 'create' ? change.desired.step.stepId : null,
      )
      const created = touched.filter((step) => step !== null)
      expect(new Set(created).size).toBe(created.length)
    }),
    { numRuns: 200 },
  )
})
