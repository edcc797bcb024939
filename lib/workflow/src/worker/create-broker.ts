import { reasonOf } from '@esteira/service'
import rascal, { type BrokerConfig } from 'rascal'
import { WorkflowError } from '../errors.ts'

export type Broker = Awaited<ReturnType<typeof rascal.BrokerAsPromised.create>>

/**
 * Brings up Rascal, and takes it down again where that fails: a broker that did not come up hangs on its error, with a
 * timer that would keep the process alive after everything else has ended.
 *
 * @throws WorkflowError `broker_unavailable`.
 */
export const createBroker = async (config: BrokerConfig): Promise<Broker> => {
  try {
    return await rascal.BrokerAsPromised.create(rascal.withDefaultConfig(config))
  } catch (cause) {
    await shutDownFailed(cause)
    throw new WorkflowError('broker_unavailable', linkReason(cause), { cause, final: false })
  }
}

/** What amqplib said. Rascal puts the address with all its options before it; the address is shown beside the reason. */
export const linkReason = (error: unknown): string => {
  const said = reasonOf(error).split('Original message was:').at(-1)?.trim()
  // Node gathers the refusals of several addresses in an error without a message, which Rascal gives its own words.
  return said === '' && error instanceof AggregateError ? error.errors.map(reasonOf).join('; ') : (said ?? '')
}

/** Rascal puts the broker under a symbol of its own, and that symbol under `broker`. */
const shutDownFailed = async (error: unknown): Promise<void> => {
  if (!(error instanceof Error) || !('broker' in error) || typeof error.broker !== 'symbol') return
  const broker: unknown = Reflect.get(error, error.broker)
  if (typeof broker !== 'object' || broker === null || !('shutdown' in broker)) return
  if (typeof broker.shutdown === 'function') await broker.shutdown()
}
