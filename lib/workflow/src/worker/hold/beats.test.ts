import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Beat, BeatAnswer } from '../../job/beat-jobs.ts'
import { type BeatEvent, type Beating, createBeats } from './beats.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

const ours: BeatAnswer = { isOurs: true, isClaimed: true, isCancelled: false }

/** Beats with what was sent and told, answered as `answer` says. */
const setup = (answer: (beats: Beat[]) => Promise<BeatAnswer[]> = async (beats) => beats.map(() => ours)) => {
  const sent: string[][] = []
  const events: BeatEvent[] = []
  const stopping = new AbortController()
  const beats = createBeats({
    send: (asked) => {
      sent.push(asked.map(({ id }) => id))
      return answer(asked)
    },
    observe: (event) => events.push(event),
    stopped: stopping.signal,
  })
  /** A job at work, with what it hears. */
  const begin = (id: string) => {
    const heard: string[] = []
    const beating: Beating = {
      beat: () => ({ id, runId: 'a run', seq: 1, claim: null, next: id }),
      answered: ({ isOurs }) => heard.push(isOurs ? 'ours' : 'lost'),
      unanswered: () => heard.push('nothing'),
    }
    return { heard, end: beats.add(beating) }
  }
  return { sent, events, begin, stop: () => stopping.abort() }
}

test('long jobs beat together, and one that just began does within 1.75 s, whenever the last turn was', async () => {
  const { sent, begin } = setup()
  begin('first')
  await vi.advanceTimersByTimeAsync(751)
  begin('just after a turn')
  await vi.advanceTimersByTimeAsync(1_750)
  expect(sent).toEqual([['first'], ['first', 'just after a turn']])
})

test('short jobs cost no statement', async () => {
  const { sent, begin } = setup()
  for (let count = 0; count < 10; count += 1) {
    const { end } = begin(String(count))
    await vi.advanceTimersByTimeAsync(900)
    await end()
  }
  await vi.advanceTimersByTimeAsync(5_000)
  expect(sent).toEqual([])
})

test('a turn that fails is told, its jobs hear that nothing is known, and the next turn tries again', async () => {
  let fails = true
  const { sent, events, begin } = setup(async (beats) => {
    if (!fails) return beats.map(() => ours)
    fails = false
    throw new Error('Postgres is away')
  })
  const { heard } = begin('job')
  await vi.advanceTimersByTimeAsync(2_300)
  expect(heard).toEqual(['nothing', 'ours'])
  expect(events).toEqual([{ kind: 'beat.failed', jobs: 1, reason: 'Postgres is away' }])
  expect(sent).toHaveLength(2)
})

/** Answers that wait until `open` is called. */
const gated = () => {
  const gate = Promise.withResolvers<void>()
  const answer = async (beats: Beat[]) => {
    await gate.promise
    return beats.map(() => ours)
  }
  return { answer, open: gate.resolve }
}

test('a slow answer is waited for: turns do not overlap', async () => {
  const { answer, open } = gated()
  const { sent, begin } = setup(answer)
  begin('job')
  await vi.advanceTimersByTimeAsync(10_000)
  expect(sent).toHaveLength(1)
  open()
  await vi.advanceTimersByTimeAsync(800)
  expect(sent).toHaveLength(2)
})

test('a job that ends while its beat is under way waits for the answer, and one that has none there does not', async () => {
  const { answer, open } = gated()
  const { sent, begin } = setup(answer)
  const long = begin('long')
  await vi.advanceTimersByTimeAsync(1_600)
  expect(sent).toHaveLength(1)
  await begin('short').end()
  let ended = false
  const ending = long.end().then(() => (ended = true))
  await vi.advanceTimersByTimeAsync(100)
  expect(ended).toBe(false)
  open()
  await ending
  expect(long.heard).toEqual(['ours'])
  await vi.advanceTimersByTimeAsync(5_000)
  expect(sent).toHaveLength(1)
})

test('a worker that has stopped sends no beats, also for a job that is still at work', async () => {
  const { sent, begin, stop } = setup()
  begin('job')
  await vi.advanceTimersByTimeAsync(1_600)
  expect(sent).toHaveLength(1)
  stop()
  begin('another')
  await vi.advanceTimersByTimeAsync(5_000)
  expect(sent).toHaveLength(1)
})
