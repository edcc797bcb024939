import { randomBytes } from 'node:crypto'
import { inject } from 'vitest'
import { managementApi } from './management-api.ts'

/** A virtual host of a test's own: an empty broker. */
export type TestVhost = { url: string; drop: () => Promise<void> }

/** Lets the stack's user write to a topic exchange only with routing keys that the pattern matches. */
type PermitTopics = (exchange: string, pattern: string) => Promise<void>

export const vhostPrefix = 'test-'

/** Makes a virtual host that the stack's user may do everything in. Dropping it ends its connections. */
export const createVhost = async (): Promise<TestVhost & { permitTopics: PermitTopics }> => {
  const { rabbitmqUrl, managementUrl } = inject('stack')
  const name = `${vhostPrefix}${randomBytes(6).toString('hex')}`
  const api = managementApi(managementUrl)
  const user = new URL(rabbitmqUrl).username
  await api.put(`vhosts/${name}`, {})
  await api.put(`permissions/${name}/${user}`, { configure: '.*', write: '.*', read: '.*' })
  return {
    url: `${rabbitmqUrl.replace(/\/$/, '')}/${name}`,
    permitTopics: (exchange, pattern) =>
      api.put(`topic-permissions/${name}/${user}`, { exchange, write: pattern, read: '.*' }),
    drop: () => api.delete(`vhosts/${name}`),
  }
}
