import type { MikroORM } from '@mikro-orm/postgresql'
import { compileConfig, type ConfigTemplate } from '../config/resolve-config.ts'
import type { FoundJob } from '../job/find-jobs.ts'
import type { StepOfRun } from '../job/held-job.ts'
import { loadSteps } from '../run/load-steps.ts'
import type { DeliverMeans } from './deliver.ts'

/** Steps of a version never change, so each version is read once. */
export const stepCache = (orm: MikroORM, untilDone: DeliverMeans['untilDone']): DeliverMeans['stepOf'] => {
  const versions = boundedCache<StepOfRun[]>()
  return async (job: FoundJob) => {
    const key = `${job.workflowId} ${job.version}`
    const steps =
      versions.get(key) ??
      versions.add(key, await untilDone(() => loadSteps(orm.em.fork(), job.workflowId, job.version)))
    const step = steps.find(({ id }) => id === job.stepId)
    if (step === undefined) throw new Error(`version ${job.version} of its workflow has no step ${job.stepId}`)
    return step
  }
}

/** A config's expressions are read once a step and version. */
export const configCache = (): DeliverMeans['configOf'] => {
  const templates = boundedCache<ConfigTemplate>()
  return (step, fn) => {
    const key = `${step.id} ${step.version}`
    return templates.get(key) ?? templates.add(key, compileConfig(step.config, fn.literals))
  }
}

/** Keeps the entries that came last. */
const boundedCache = <T>(most = 1_000) => {
  const entries = new Map<string, T>()
  return {
    get: (key: string): T | undefined => entries.get(key),
    add: (key: string, value: T): T => {
      entries.set(key, value)
      const oldest = entries.keys().next()
      if (entries.size > most && !oldest.done) entries.delete(oldest.value)
      return value
    },
  }
}
