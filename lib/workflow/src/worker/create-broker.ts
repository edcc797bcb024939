import rascal, { type BrokerConfig } from 'rascal'

type Broker = Awaited<ReturnType<typeof rascal.BrokerAsPromised.create>>

/**
 * Brings up Rascal, and takes it down again where that fails: a broker that did not come up hangs on its error, with a
 * timer that would keep the process alive after everything else has ended.
 */
export const createBroker = async (config: BrokerConfig): Promise<Broker> => {
  try {
    return await rascal.BrokerAsPromised.create(rascal.withDefaultConfig(config))
  } catch (error) {
    await shutDownFailed(error)
    throw error
  }
}

/** Rascal puts the broker under a symbol of its own, and that symbol under `broker`. */
const shutDownFailed = async (error: unknown): Promise<void> => {
  if (!(error instanceof Error) || !('broker' in error) || typeof error.broker !== 'symbol') return
  const broker: unknown = Reflect.get(error, error.broker)
  if (typeof broker !== 'object' || broker === null || !('shutdown' in broker)) return
  if (typeof broker.shutdown === 'function') await broker.shutdown()
}
