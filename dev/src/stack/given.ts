import { setTimeout as delay } from 'node:timers/promises'
import { reasonOf, withoutPassword } from '@esteira/service'
import { StackError } from './errors.ts'
import { askPostgres } from './postgres/answers.ts'
import { askRabbitmq } from './rabbitmq/answers.ts'
import type { Observe, RabbitmqService, Service, ServiceName } from './service.ts'

/** Uses a Postgres that somebody else runs, once it answers. */
export const useGivenPostgres = async (url: string, observe: Observe, signal: AbortSignal): Promise<Service> => {
  await reach('postgres', url, () => askPostgres(url), observe, signal)
  return { ...given('postgres', url), describe: `Postgres, given, ${withoutPassword(url)}` }
}

/** Uses a RabbitMQ that somebody else runs, once it answers; its management API is on port 15672 unless it is given. */
export const useGivenRabbitmq = async (
  url: string,
  managementUrl: string | undefined,
  observe: Observe,
  signal: AbortSignal,
): Promise<RabbitmqService> => {
  await reach('rabbitmq', url, () => askRabbitmq(url), observe, signal)
  return {
    ...given('rabbitmq', url),
    describe: `RabbitMQ, given, ${withoutPassword(url)}`,
    managementUrl: managementUrl ?? usualManagementUrl(url),
  }
}

const given = (name: ServiceName, url: string) => ({
  name,
  source: 'given' as const,
  url,
  // It is not ours to stop, and goes on.
  stop: async () => {},
})

const usualManagementUrl = (url: string): string => {
  const { username, password, hostname } = new URL(url)
  const user = username === '' ? 'guest:guest' : `${username}:${password}`
  return `http://${user}@${hostname}:15672`
}

/** Five tries over some four seconds: a server that is just starting is waited for, one that is not there is told soon. */
const pausesMs = [250, 500, 1_000, 2_000]

const reach = async (
  service: ServiceName,
  url: string,
  ask: () => Promise<void>,
  observe: Observe,
  signal: AbortSignal,
): Promise<void> => {
  const startedAt = performance.now()
  const address = withoutPassword(url)
  observe({ kind: 'service.starting', service, source: 'given', address })
  for (let attempt = 1; ; attempt++) {
    signal.throwIfAborted()
    try {
      await ask()
      observe({
        kind: 'service.ready',
        service,
        source: 'given',
        address,
        ms: Math.round(performance.now() - startedAt),
      })
      return
    } catch (cause) {
      const reason = reasonOf(cause)
      observe({ kind: 'service.unreachable', service, address, attempt, reason })
      if (isRefusal(cause))
        throw new StackError('unreachable', `${service} at ${address} refuses: ${reason}`, { cause })
      const pauseMs = pausesMs[attempt - 1]
      if (pauseMs === undefined) {
        throw new StackError('unreachable', `${service} at ${address} does not answer: ${reason}`, { cause })
      }
      await delay(pauseMs * (0.75 + Math.random() / 2), undefined, { signal })
    }
  }
}

/** A Postgres that answers, but knows no such user or database: no pause helps. */
const isRefusal = (cause: unknown): boolean =>
  cause instanceof Error && 'code' in cause && /^(28|3D)/.test(String(cause.code))
