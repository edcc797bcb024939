import rascal from 'rascal'

/** Puts bytes into a queue as they are, such as no JSON. */
export const publishBytes = async (rabbitmqUrl: string, queue: string, bytes: Buffer): Promise<void> => {
  const vhost = new URL(rabbitmqUrl).pathname.slice(1)
  const publisher = await rascal.BrokerAsPromised.create(
    rascal.withTestConfig({
      vhosts: { [vhost]: { connection: { url: rabbitmqUrl }, exchanges: [''] } },
      publications: { bytes: { vhost, exchange: '', routingKey: queue } },
    }),
  )
  const publication = await publisher.publish('bytes', bytes)
  await new Promise((resolve, reject) => publication.once('success', resolve).once('error', reject))
  await publisher.shutdown()
}
