import type { MikroORM } from '@mikro-orm/postgresql'
import type { CronConfig } from '../config.ts'
import type { Loop } from '../loop.ts'
import { openCluster } from './cluster/open-cluster.ts'
import { cronJobsOf } from './cron-jobs.ts'
import { readPodTemplate } from './pod-template.ts'
import { type ReconcilerOptions, startReconciler } from './start-reconciler.ts'

type KubernetesConfig = Extract<CronConfig, { by: 'kubernetes' }>

type Started = Pick<ReconcilerOptions, 'databaseUrl' | 'observe'> & { orm: MikroORM; graceMs: number }

/**
 * Makes ready what it takes to keep CronJobs in a cluster; the cluster itself is not asked yet, and may be away.
 *
 * @throws ControlPlaneError `pod_template_invalid` or `cluster_config_invalid`.
 */
export const openKubernetes = async ({ podTemplate, anchor, kubeconfig, namespace }: KubernetesConfig) => {
  // One that is none is told of now, before anything begins.
  await readPodTemplate(podTemplate)
  const cluster = await openCluster({ kubeconfig, namespace })
  return {
    start: ({ graceMs, ...options }: Started): Loop => {
      const late = new AbortController()
      const loop = startReconciler({
        ...options,
        cronJobs: cronJobsOf(cluster, anchor, late.signal),
        anchor,
        readTemplate: () => readPodTemplate(podTemplate),
      })
      return {
        wake: loop.wake,
        stop: async () => {
          const timer = setTimeout(() => late.abort(), graceMs)
          await loop.stop()
          clearTimeout(timer)
          await cluster.close()
        },
      }
    },
  }
}
