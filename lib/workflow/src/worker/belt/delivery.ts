import * as z from 'zod'
import type { JobReference } from '../../job/new-job.ts'
import type { ProbeReference } from '../../probe/probe-message.ts'

/** A message that a worker holds until the job behind it has moved on. */
export type Delivery = {
  reference: JobReference
  /** It was handed out before: whoever had it then may still be at work. */
  redelivered: boolean
  /** How often the broker had it back, from workers that died or handed it back, with those that it follows; 0 at first. */
  deliveries: number
  /** How often it was put off, as somebody held its job locked; 0 at first. */
  putOffs: number
  /** When it came, by `performance.now()`. */
  receivedMs: number
  /** The job is written: the broker may forget the message. */
  ack: () => void
  /** The job is not written: the broker hands the message out again after a pause. */
  handBack: () => void
}

/** A message that asks for one thing only: that somebody says that it came out of the queue. */
export type ProbeDelivery = ProbeReference & Pick<Delivery, 'ack' | 'handBack'>

/** What of a message of amqplib a delivery is read from. */
type Received = {
  content: Buffer
  fields: { redelivered: boolean }
  properties: { headers: Record<string, unknown> | undefined }
}

/** Reads the reference in a message, and what the broker says of it; a probe; or why it cannot be read. */
export const readMessage = ({
  content,
  fields,
  properties,
}: Received): Read | ProbeReference | { unreadable: string } => {
  const read = readBody(content)
  if (typeof read === 'string') return { unreadable: read }
  if ('probe' in read) return read
  const { jobId, seq, putOff = { times: 0, deliveries: 0 } } = read
  const count: unknown = properties.headers?.['x-delivery-count']
  return {
    reference: { jobId, seq },
    redelivered: fields.redelivered || putOff.times > 0,
    deliveries: putOff.deliveries + (typeof count === 'number' ? count : 0),
    putOffs: putOff.times,
  }
}

type Read = Pick<Delivery, 'reference' | 'redelivered' | 'deliveries' | 'putOffs'>

const readBody = (content: Buffer): z.infer<typeof referenceSchema> | ProbeReference | string => {
  try {
    const message: unknown = JSON.parse(content.toString('utf8'))
    const read = referenceSchema.safeParse(message)
    if (read.success) return read.data
    return probeSchema.safeParse(message).data ?? z.prettifyError(read.error)
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

const putOffSchema = z.object({ times: z.int().min(1), deliveries: z.int().min(0) })
const referenceSchema = z.object({ jobId: z.uuid(), seq: z.int().min(1), putOff: putOffSchema.optional() })
const probeSchema = z.object({ probe: z.uuid() })
