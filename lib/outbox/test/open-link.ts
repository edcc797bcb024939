import { onTestFinished } from 'vitest'
import { type BrokerLink, createBrokerLink } from '../src/relay/publish/broker-link.ts'
import { vhost } from './use-lane.ts'

/** A link to the file's virtual host that is up, and closed with the test. */
export const openLink = async (): Promise<BrokerLink> => {
  const link = createBrokerLink({ rabbitmqUrl: vhost.url, name: 'test', observe: () => {} })
  onTestFinished(link.close)
  await link.connect()
  return link
}
