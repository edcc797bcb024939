import { randomBytes } from 'node:crypto'
import { inject } from 'vitest'
import { managementApi } from './management-api.ts'

/** A virtual host of a test's own: an empty broker. */
export type TestVhost = { url: string; drop: () => Promise<void> }

export const vhostPrefix = 'test-'

/** Makes a virtual host that the stack's user may do everything in. Dropping it ends its connections. */
export const createVhost = async (): Promise<TestVhost> => {
  const { rabbitmqUrl, managementUrl } = inject('stack')
  const name = `${vhostPrefix}${randomBytes(6).toString('hex')}`
  const api = managementApi(managementUrl)
  const user = new URL(rabbitmqUrl).username
  await api.put(`vhosts/${name}`, {})
  await api.put(`permissions/${name}/${user}`, { configure: '.*', write: '.*', read: '.*' })
  return { url: `${rabbitmqUrl.replace(/\/$/, '')}/${name}`, drop: () => api.delete(`vhosts/${name}`) }
}
