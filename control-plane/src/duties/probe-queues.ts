import { type ProbeEvent, probeQueues, type ProbeTimes } from '@esteira/workflow'
import type { MikroORM } from '@mikro-orm/postgresql'
import { type Loop, type LoopEvent, startLoop } from '../loop.ts'

const everyMs = 10_000

/** A turn looks at all jobs of the open runs; of the time it takes at most one part in so many. */
const shareOfTime = 50

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
      const pauseMs = Math.max(everyMs, shareOfTime * (performance.now() - begun))
      // Several control planes do not probe in step.
      return pauseMs * (0.75 + Math.random() / 2)
    },
    observe,
  )
