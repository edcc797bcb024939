import { randomBytes } from 'node:crypto'
import { inject } from 'vitest'
import { managementApi } from './management-api.ts'

/** A virtual host of a test's own: an empty broker. */
export type TestVhost = { url: string; drop: () => Promise<void> }

/** Lets the stack's user write to a topic exchange only with routing keys that the pattern matches. */
type PermitTopics = (exchange: string, pattern: string) => Promise<void>

/** The address for a user of the test's own, who may do in this virtual host what the patterns match. */
type UserWith = (rights: { configure: string; write: string; read: string }) => Promise<string>

export const vhostPrefix = 'test-'

/** Makes a virtual host that the stack's user may do everything in. Dropping it ends its connections. */
export const createVhost = async (): Promise<TestVhost & { permitTopics: PermitTopics; userWith: UserWith }> => {
  const { rabbitmqUrl, managementUrl } = inject('stack')
  const name = `${vhostPrefix}${randomBytes(6).toString('hex')}`
  const api = managementApi(managementUrl)
  const user = new URL(rabbitmqUrl).username
  await api.put(`vhosts/${name}`, {})
  await api.put(`permissions/${name}/${user}`, { configure: '.*', write: '.*', read: '.*' })
  const url = `${rabbitmqUrl.replace(/\/$/, '')}/${name}`
  const users: string[] = []
  return {
    url,
    permitTopics: (exchange, pattern) =>
      api.put(`topic-permissions/${name}/${user}`, { exchange, write: pattern, read: '.*' }),
    userWith: async (rights) => {
      const address = new URL(url)
      address.username = `${name}-${users.length + 1}`
      address.password = randomBytes(6).toString('hex')
      await api.put(`users/${address.username}`, { password: address.password, tags: '' })
      users.push(address.username)
      await api.put(`permissions/${name}/${address.username}`, rights)
      return address.href
    },
    drop: async () => {
      for (const one of users) await api.delete(`users/${one}`)
      await api.delete(`vhosts/${name}`)
    },
  }
}
