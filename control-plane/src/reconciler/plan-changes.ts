import type { AppliedCronJob } from './cron-job-state.ts'
import type { Desired } from './desired-cron-jobs.ts'
import { annotations, labels } from './labels.ts'

/** A CronJob of the cluster with our labels, as its metadata tell. */
export type Actual = {
  /** Of the label; null where it has none. */
  stepId: string | null
  name: string
  uid: string
  /** Of the object in all its changes; the greater one is the newer. */
  resourceVersion: string
  generation: number
  createdAt: Date
  /** It was deleted, and something keeps it yet. */
  deleting: boolean
  labels: Readonly<Record<string, string>>
  annotations: Readonly<Record<string, string>>
  /** The uids of what it hangs on. */
  owners: readonly string[]
}

/**
 * What has to be done. Why something is applied: the step or the template is another than when it was applied last
 * (`changed`), somebody else wrote (`drifted`), or what our last apply came to is not known (`unverified`); that one
 * changes nothing where all is well. Why something is made: it is `new`, or was there before (`lost`).
 */
export type Change =
  | { kind: 'create'; desired: Desired; why: 'new' | 'lost' }
  | { kind: 'apply'; desired: Desired; seen: Actual; why: 'changed' | 'drifted' | 'unverified' }
  | { kind: 'delete'; stepId: string; name: string; uid: string; why: 'gone' | 'twin' }

/** By step: what our last apply of its CronJob was answered. */
export type Known = ReadonlyMap<string, AppliedCronJob>

/**
 * Those of our CronJobs that belong to this database; the others are of one that the release was given before, or is not meant
 * to have been given. Without the label they are of a version before; one that we applied is ours whatever it says.
 */
export const ofDatabase = (actual: readonly Actual[], known: Known, database: string) => {
  const uids = new Set([...known.values()].map(({ uid }) => uid))
  const isOurs = (object: Actual): boolean =>
    (object.labels[labels.database] ?? database) === database || uids.has(object.uid)
  return { ours: actual.filter(isOurs), others: actual.filter((object) => !isOurs(object)) }
}

/** The CronJobs of each step. Of several that stay the first is the one to keep: what we applied, else the oldest. */
export type ByStep = ReadonlyMap<string, readonly Actual[]>

/**
 * Finds the step of each object: of one that we applied it is known, whatever became of its label; else the label says it.
 * An object that says nothing of a step, and that we know nothing of, belongs to nobody here.
 */
export const byStep = (actual: readonly Actual[], known: Known): ByStep => {
  const stepByUid = new Map([...known].map(([stepId, { uid }]) => [uid, stepId]))
  const found = new Map<string, Actual[]>()
  for (const object of actual) {
    const stepId = stepByUid.get(object.uid) ?? object.stepId
    if (stepId === null) continue
    const objects = found.get(stepId)
    if (objects === undefined) found.set(stepId, [object])
    else objects.push(object)
  }
  for (const [stepId, objects] of found) if (objects.length > 1) objects.sort(keptFirst(known.get(stepId)?.uid))
  return found
}

const keptFirst =
  (knownUid: string | undefined) =>
  (a: Actual, b: Actual): number =>
    Number(a.deleting) - Number(b.deleting) ||
    Number(b.uid === knownUid) - Number(a.uid === knownUid) ||
    a.createdAt.getTime() - b.createdAt.getTime() ||
    (a.uid < b.uid ? -1 : 1)

type Wanted = {
  desired: readonly Desired[]
  /** Steps that there are, and whose config says nothing to this version; what they have is left as it is. */
  untouched: ReadonlySet<string>
  actual: ByStep
  known: Known
  /** The uid of the anchor, which all of them hang on. */
  anchorUid: string
}

/**
 * What makes the CronJobs of the cluster those that should be there. It names nothing but what has our labels, and no
 * object twice. An object that is being deleted is waited for: its name is taken, and a change would come to nothing.
 */
export const planChanges = ({ desired, untouched, actual, known, anchorUid }: Wanted): Change[] => {
  const wanted = new Set([...untouched, ...desired.map(({ step }) => step.stepId)])
  return [
    ...desired.flatMap((one): Change[] => {
      const { stepId } = one.step
      const [kept, ...twins] = actual.get(stepId) ?? []
      const applied = known.get(stepId) ?? null
      if (kept === undefined) return [{ kind: 'create', desired: one, why: applied === null ? 'new' : 'lost' }]
      const why = kept.deleting ? null : whyApply(one, kept, applied, anchorUid)
      const change: Change[] = why === null ? [] : [{ kind: 'apply', desired: one, seen: kept, why }]
      return [...change, ...twins.flatMap((twin) => deletion(stepId, twin, 'twin'))]
    }),
    ...[...actual].flatMap(([stepId, objects]) =>
      wanted.has(stepId) ? [] : objects.flatMap((object) => deletion(stepId, object, 'gone')),
    ),
  ]
}

const deletion = (stepId: string, { name, uid, deleting }: Actual, why: 'gone' | 'twin'): Change[] =>
  deleting ? [] : [{ kind: 'delete', stepId, name, uid, why }]

/**
 * The spec itself is not looked at: its digest lies in an annotation, and whoever changes the spec afterwards raises the
 * generation, so the metadata say enough. What others add to our objects stays: each field belongs to who wrote it.
 */
const whyApply = (
  { hash, manifest }: Desired,
  object: Actual,
  applied: AppliedCronJob | null,
  anchorUid: string,
): 'changed' | 'drifted' | 'unverified' | null => {
  const isKnown = applied !== null && applied.uid === object.uid && applied.hash === hash
  if (object.annotations[annotations.hash] !== hash) return isKnown ? 'drifted' : 'changed'
  if (!isKnown) return 'unverified'
  const stands =
    applied.generation === object.generation &&
    object.owners.includes(anchorUid) &&
    has(object.labels, manifest.metadata.labels) &&
    has(object.annotations, manifest.metadata.annotations)
  return stands ? null : 'drifted'
}

const has = (found: Readonly<Record<string, string>>, wanted: Readonly<Record<string, string>>): boolean =>
  Object.entries(wanted).every(([name, value]) => found[name] === value)
