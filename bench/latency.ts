import { setTimeout as delay } from 'node:timers/promises'
import { enqueue } from '@esteira/outbox'
import { createRelay } from '@esteira/outbox/relay'
import amqplib from 'amqplib'
import type { BenchOptions } from './options.ts'
import { reportLatencies } from './report/latencies.ts'
import { percentile, round } from './report/statistics.ts'
import type { Report } from './report/verdict.ts'
import { payloadBytes } from './services/fill-lane.ts'
import type { Place } from './services/open-place.ts'

const hold = { p50Ms: 5, p99Ms: 15 }
const samples = 1_000
const shortestGapMs = 5
const longestGapMs = 30

/**
 * How long after a commit is its message out, when nothing else is to do? From the commit's return until the row is
 * confirmed and deleted, and until a consumer has it; one message at a time, at random gaps. The control is a publish on
 * a raw confirm channel until its confirm: what the broker alone takes.
 */
export const benchLatency = async (place: Place, { rounds }: BenchOptions): Promise<Report> => {
  const confirmed = createMoment()
  const arrived = createMoment()
  const publisher = await amqplib.connect(place.rabbitmqUrl, { noDelay: true })
  const raw = await publisher.createConfirmChannel()
  await place.channel.consume(place.queue, arrived.happen, { noAck: true })
  const relay = createRelay({
    databaseUrl: place.databaseUrl,
    rabbitmqUrl: place.rabbitmqUrl,
    lane: place.lane.name,
    adopt: false,
    observe: ({ kind }) => {
      if (kind === 'relay.batch') confirmed.happen()
    },
  })
  await relay.start()
  const payload = 'a'.repeat(payloadBytes - 2)

  const commitOne = async () => {
    await place.db.query('begin')
    await enqueue(place.db, { routingKey: place.queue, payload }, { lane: place.lane.id })
    await place.db.query('commit')
    return performance.now()
  }
  const publishOne = async () => {
    const publishedMs = performance.now()
    raw.publish('', place.queue, Buffer.from(payload), { persistent: true, mandatory: true }, confirmed.happen)
    return publishedMs
  }
  const ms: Record<'confirm' | 'arrival' | 'raw', number[]> = { confirm: [], arrival: [], raw: [] }
  for (let turn = 0; turn < rounds; turn++) {
    for (let sample = 0; sample < samples / rounds; sample++) {
      await delay(shortestGapMs + Math.random() * (longestGapMs - shortestGapMs))
      const ends = Promise.all([confirmed.next(), arrived.next()])
      const committedMs = await commitOne()
      const [confirmedMs, arrivedMs] = await ends
      // The relay may be faster than the commit's answer.
      ms.confirm.push(Math.max(0, confirmedMs - committedMs))
      ms.arrival.push(Math.max(0, arrivedMs - committedMs))
    }
    for (let sample = 0; sample < samples / rounds; sample++) {
      await delay(shortestGapMs + Math.random() * (longestGapMs - shortestGapMs))
      const ends = Promise.all([confirmed.next(), arrived.next()])
      const publishedMs = await publishOne()
      const [confirmedMs] = await ends
      ms.raw.push(confirmedMs - publishedMs)
    }
  }
  await relay.stop({ graceMs: 1_000 })
  await publisher.close()
  const { table, verdict } = reportLatencies({
    title: 'milliseconds',
    ours: { name: 'commit to confirmed and deleted', ms: ms.confirm },
    others: [{ name: 'commit to consumer', ms: ms.arrival }],
    control: { name: 'raw publish to confirm', ms: ms.raw },
    hold,
    rounds,
  })
  const [arrivalP50Ms, arrivalP99Ms] = [0.5, 0.99].map((share) => round(percentile(ms.arrival, share), 2))
  return { table, verdict: { ...verdict, arrivalP50Ms, arrivalP99Ms } }
}

/** Something that happens again and again; `next` gives the time at which it happens next, milliseconds. */
const createMoment = () => {
  let waiting: ((ms: number) => void) | null = null
  return {
    happen: () => {
      waiting?.(performance.now())
      waiting = null
    },
    next: () =>
      new Promise<number>((resolve) => {
        waiting = resolve
      }),
  }
}
