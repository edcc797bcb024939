import { join } from 'node:path'
import type { ApiServerPrograms } from '../api/start-api-server.ts'
import type { Means } from './cache.ts'
import { debianPrograms } from './debian-programs.ts'
import { goPrograms, kubernetes } from './go-programs.ts'

/** Brings what an API server needs. */
export const apiServerPrograms = async (means: Means): Promise<ApiServerPrograms> => {
  const programs = await debianPrograms(means, { etcd: 'etcd-server', openssl: 'openssl' })
  return {
    etcd: programs('etcd'),
    openssl: programs('openssl'),
    apiServer: join(await goPrograms(means, kubernetes), 'kube-apiserver'),
  }
}
