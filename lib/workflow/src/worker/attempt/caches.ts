import { compileConfig, type ConfigTemplate } from '../../config/resolve-config.ts'
import type { FoundJob } from '../../job/find-jobs.ts'
import type { StepOfRun } from '../../job/held-job.ts'
import type { DeliverMeans } from '../deliver/deliver.ts'

/** Steps of a version never change, so each version is read once, also when many of its jobs come in one moment. */
export const stepCache = (
  read: (workflowId: string, version: number) => Promise<StepOfRun[]>,
): DeliverMeans['stepOf'] => {
  const versions = boundedCache<Promise<StepOfRun[]>>()
  return async ({ workflowId, version, stepId }: FoundJob) => {
    const key = `${workflowId} ${version}`
    const reading = versions.get(key) ?? versions.add(key, read(workflowId, version))
    try {
      return (await reading).find(({ id }) => id === stepId)
    } catch (error) {
      versions.forget(key)
      throw error
    }
  }
}

/** A config's expressions are read once a step and version. */
export const configCache = (): DeliverMeans['configOf'] => {
  const templates = boundedCache<ConfigTemplate>()
  return (step, fn) => {
    const key = `${step.id} ${step.version}`
    return templates.get(key) ?? templates.add(key, compileConfig(step.config, fn.literals, fn.parameters))
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
    forget: (key: string): void => {
      entries.delete(key)
    },
  }
}
