import type { V1CronJob } from '@kubernetes/client-node'
import { finalExits } from '../cron/exit-codes.ts'
import { concurrencyPolicyOf } from './concurrency-policy.ts'
import type { TickingStep } from './cron-job-state.ts'
import { annotations, labels, ownLabels } from './labels.ts'
import { podFor, type PodTemplate, programName } from './pod-template.ts'
import { specHash } from './spec-hash.ts'
import { isSuspended } from './is-suspended.ts'

/** What all CronJobs of a control plane have in common. */
export type Mould = { anchor: string; database: string; template: PodTemplate }

/** A CronJob as it is to be, without what hangs on the cluster: its owner and its uid. */
export type CronJobManifest = Pick<V1CronJob, 'apiVersion' | 'kind' | 'spec'> & {
  metadata: { name: string; labels: Record<string, string>; annotations: Record<string, string> }
  spec: NonNullable<V1CronJob['spec']>
}

/** How many ended Jobs stay to be looked at, and how long. What came of a tick is in its run. */
const kept = { successfulJobsHistoryLimit: 3, failedJobsHistoryLimit: 1, ttlSecondsAfterFinished: 3_600 }

/**
 * One pod, which runs. All of it is so by itself; written, it is taken back from whoever says otherwise: a field that is
 * not ours stays as others have it, and a Job that is suspended, or has no pod to complete, is a tick that is lost.
 */
const oneRun = { suspend: false, parallelism: 1, completions: 1, completionMode: 'NonIndexed' }

/** As often as the local scheduler tries a tick again. */
const backoffLimit = 6

/**
 * The program waits for a database that is away. Pods of a step that ticks every minute would pile up for as long, so one
 * that has waited an hour ends, or as long as its step lets a tick be late.
 */
const leastActiveDeadlineSeconds = 3_600

/**
 * What is tried again: whatever may pass by itself. An eviction is not counted, since it is no fault of the tick's, and
 * of an exit that is final no second pod is made.
 */
const podFailurePolicy = {
  rules: [
    { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
    {
      action: 'FailJob',
      onExitCodes: { containerName: programName, operator: 'In', values: Object.keys(finalExits).map(Number) },
    },
  ],
}

/** The CronJob of a step, under a name that it may have had before. The digest of all of it is among its annotations. */
export const cronJobManifest = (
  step: TickingStep,
  { name, mould }: { name: string; mould: Mould },
): { hash: string; manifest: CronJobManifest } => {
  const { stepId, since, config } = step
  const { schedule, timeZone } = config
  // Those of the pods of ticks go first: by them people find what belongs together, and admission asks for some.
  const own = {
    ...mould.template.metadata.labels,
    ...ownLabels(mould.anchor),
    [labels.database]: mould.database,
    [labels.step]: stepId,
  }
  const manifest: CronJobManifest = {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata: {
      name,
      labels: own,
      annotations: {
        [annotations.workflow]: step.workflowName,
        [annotations.stepName]: step.name,
        [annotations.since]: since.toISOString(),
      },
    },
    spec: {
      schedule,
      timeZone,
      startingDeadlineSeconds: config.startingDeadlineSeconds,
      suspend: isSuspended(step),
      concurrencyPolicy: concurrencyPolicyOf(config.overlap),
      successfulJobsHistoryLimit: kept.successfulJobsHistoryLimit,
      failedJobsHistoryLimit: kept.failedJobsHistoryLimit,
      jobTemplate: {
        metadata: { labels: own },
        spec: {
          ...oneRun,
          backoffLimit,
          activeDeadlineSeconds: Math.max(leastActiveDeadlineSeconds, config.startingDeadlineSeconds),
          ttlSecondsAfterFinished: kept.ttlSecondsAfterFinished,
          podFailurePolicy,
          template: podFor(mould.template, { stepId, lane: name, since, schedule, timeZone, labels: own }),
        },
      },
    },
  }
  const hash = specHash(manifest)
  const { metadata } = manifest
  return {
    hash,
    manifest: {
      ...manifest,
      metadata: { ...metadata, annotations: { ...metadata.annotations, [annotations.hash]: hash } },
    },
  }
}
