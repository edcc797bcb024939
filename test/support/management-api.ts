/** RabbitMQ's management API, as far as tests need it. */
export type ManagementApi = {
  /** The names of the virtual hosts. */
  vhosts: () => Promise<string[]>
  put: (path: string, body: object) => Promise<void>
  delete: (path: string) => Promise<void>
}

/** Calls the API at an address that holds the user and the password. */
export const managementApi = (managementUrl: string): ManagementApi => {
  const { origin, username, password } = new URL(managementUrl)
  const authorization = `Basic ${btoa(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`)}`
  const call = async (method: string, path: string, body?: object): Promise<Response> => {
    const response = await fetch(`${origin}/api/${path}`, {
      method,
      headers: { authorization, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(20_000),
    })
    if (!response.ok) throw new Error(`${method} /api/${path}: ${response.status} ${await response.text()}`)
    return response
  }
  return {
    vhosts: async () => namesOf(await (await call('GET', 'vhosts')).json()),
    put: async (path, body) => done(await call('PUT', path, body)),
    delete: async (path) => done(await call('DELETE', path)),
  }
}

const done = async (response: Response): Promise<void> => response.body?.cancel()

const namesOf = (answer: unknown): string[] => {
  if (!Array.isArray(answer)) throw new Error('the management API gave no list')
  return answer.map((item: unknown) => {
    if (typeof item === 'object' && item !== null && 'name' in item && typeof item.name === 'string') return item.name
    throw new Error('the management API gave something without a name')
  })
}
