import type { Attributes } from '@opentelemetry/api'

/**
 * What a span of a message says, by the semantic conventions for messaging, 1.45.0 (in development): names, and with them
 * `messaging.system.name`, are as that version has them. Everything goes through the default exchange or by a routing key
 * that is the queue's name; with an exchange, both are the destination's name.
 */
export const messagingAttributes = (
  operation: 'create' | 'send' | 'process',
  { exchange = '', routingKey }: { exchange?: string; routingKey: string },
): Attributes => ({
  'messaging.system.name': 'rabbitmq',
  'messaging.operation.name': operation,
  'messaging.operation.type': operation,
  'messaging.destination.name': destinationName({ exchange, routingKey }),
  'rabbitmq.destination.routing_key': routingKey,
})

export const destinationName = ({ exchange, routingKey }: { exchange: string; routingKey: string }): string =>
  exchange === '' ? routingKey : `${exchange}:${routingKey}`
