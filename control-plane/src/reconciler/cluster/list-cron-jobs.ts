import type { Actual } from '../plan-changes.ts'
import type { Answer } from './answer.ts'
import { accept, call } from './call.ts'
import type { Cluster } from './open-cluster.ts'
import { readPage } from './read-metadata.ts'

/** All CronJobs of a selector, as they were at one moment; a watch goes on from there. */
export type Listed = { items: Actual[]; resourceVersion: string }

/** A page is some 2 MiB, a thousandth of it an object. */
const pageLimit = 1_000

/** How often a list is begun anew, when it took so long that the server no longer knows the moment it is of. */
const mostTries = 3

export const cronJobsPath = ({ namespace }: Pick<Cluster, 'namespace'>, name?: string): string =>
  `/apis/batch/v1/namespaces/${encodeURIComponent(namespace)}/cronjobs${name === undefined ? '' : `/${encodeURIComponent(name)}`}`

export const listCronJobs = async (
  cluster: Cluster,
  selector: string,
  signal: AbortSignal,
): Promise<Answer<Listed>> => {
  for (let tries = 1; ; tries += 1) {
    const listed = await listOnce(cluster, selector, signal)
    if (listed.kind !== 'expired' || tries === mostTries) return listed
  }
}

const listOnce = async (cluster: Cluster, selector: string, signal: AbortSignal): Promise<Answer<Listed>> => {
  const items: Actual[] = []
  let next: string | undefined
  for (;;) {
    const query = {
      labelSelector: selector,
      limit: String(pageLimit),
      ...(next === undefined ? {} : { continue: next }),
    }
    const headers = { accept: accept.metadataList }
    const answer = await call(cluster, { method: 'GET', path: cronJobsPath(cluster), query, headers }, signal)
    if (answer.kind !== 'ok') return answer
    const page = readPage(answer.value)
    items.push(...page.items)
    next = page.next
    if (next === undefined) return { kind: 'ok', value: { items, resourceVersion: page.resourceVersion } }
  }
}
