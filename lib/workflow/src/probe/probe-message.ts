import type { OutboxMessage } from '@esteira/outbox'

/** What a probe carries through a queue: its id, so that whoever gets it can say that it came out. */
export type ProbeReference = { probe: string }

/** The message that goes through a function's queue behind all that is in it. */
export const probeMessage = (functionName: string, id: string): OutboxMessage => ({
  routingKey: functionName,
  payload: { probe: id } satisfies ProbeReference,
})
