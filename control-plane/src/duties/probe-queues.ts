import { type ProbeEvent, probeQueues, type ProbeTimes } from '@esteira/workflow'
import type { MikroORM } from '@mikro-orm/postgresql'
import { type Loop, type LoopEvent, startLoop } from '../loop.ts'

const everyMs = 10_000

/** A turn looks at all jobs of the open runs; while that is quick it has of all time one part in so many at most. */
const shareOfTime = 50

/** Behind a slow turn. A loss is mended by three turns, and so not much later on a machine that is busy. */
const longestMs = 60_000

type ProbingOptions = {
  orm: MikroORM
  lane: number
  times: ProbeTimes
  observe: (event: LoopEvent | ProbeEvent) => void
}

/** Finds jobs whose messages are gone from RabbitMQ, by probes through its queues, and sends them again. */
export const startProbingQueues = ({ orm, lane, times, observe }: ProbingOptions): Loop =>
  startLoop(
    'probe-queues',
    async () => {
      const begun = performance.now()
      await probeQueues(orm.em.fork(), { lane, times, observe })
      return pauseAfter(performance.now() - begun, Math.random())
    },
    observe,
  )

/** How long to wait behind a turn of so many milliseconds; `random`, from 0 to 1, has control planes not probe in step. */
export const pauseAfter = (turnMs: number, random: number): number =>
  Math.min(longestMs, Math.max(everyMs, shareOfTime * turnMs)) * (1 + random / 4)
