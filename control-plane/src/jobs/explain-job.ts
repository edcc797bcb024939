import type { Standing } from './read-standing.ts'

/** Why a job stands where it stands. Codes are never reused. */
export const explanationCodes = [
  'succeeded',
  'failed',
  'cancelled',
  'run_cancelling',
  'waits_for_room',
  'waits_for_its_time',
  'waits_for_relay',
  'parked',
  'in_queue',
  'looked_for',
  'running',
  'worker_silent',
] as const

/** `text` is for people; `sinceMs` is when that began, where it is known. */
export type Explanation = { code: (typeof explanationCodes)[number]; text: string; sinceMs: number | null }

/** Beats come every few seconds. A worker that is silent for so long is gone, or its link is; milliseconds. */
const silenceMs = 60_000

/** Says why a job stands where it stands, and what it waits for. */
export const explainJob = (standing: Standing): Explanation => {
  const { status, runStatus, finishedMs, error } = standing
  switch (status) {
    case 'succeeded':
      return { code: 'succeeded', text: 'It is done.', sinceMs: finishedMs }
    case 'failed':
      return { code: 'failed', text: failed(error), sinceMs: finishedMs }
    case 'cancelled':
      return { code: 'cancelled', text: 'It was cancelled, or its run was.', sinceMs: finishedMs }
    case 'staged':
    case 'queued':
      return runStatus === 'cancelling' ? cancelling : status === 'staged' ? staged(standing) : queued(standing)
    case 'running':
      return running(standing)
  }
}

const failed = (error: string | null): string =>
  `It failed${error === null ? '' : `: ${error}`}. A POST to its /retry sends it again, and its /attempts lists what was tried.`

const cancelling: Explanation = {
  code: 'run_cancelling',
  text: 'Its run is being cancelled, and in a moment it is too.',
  sinceMs: null,
}

const staged = ({ ahead, belt, createdMs }: Standing): Explanation => ({
  code: 'waits_for_room',
  text: `It waits for room: of its run and step ${countOf(belt)} on the belt, and ${countOf(ahead ?? 0)} before it.`,
  sinceMs: createdMs,
})

const countOf = (jobs: number): string => `${jobs.toLocaleString('en-US')} ${jobs === 1 ? 'job is' : 'jobs are'}`

const queued = (standing: Standing): Explanation => {
  const { kept, probe, isLater, dueMs, enqueuedMs, functionName } = standing
  switch (kept?.place) {
    case 'parked':
      return {
        code: 'parked',
        text: `RabbitMQ went on refusing its message (${kept.reason ?? 'no reason'}): it is parked until it is retried.`,
        sinceMs: kept.sinceMs,
      }
    case 'outbox':
      return {
        code: 'waits_for_relay',
        text: `Its message is in the outbox, in the lane ${kept.lane ?? 'of a relay that is gone'}: it is published when that has a relay and RabbitMQ answers.`,
        sinceMs: kept.sinceMs,
      }
    case 'scheduled':
      return laterOrDue(isLater, dueMs, kept.sinceMs)
    case undefined:
      return probe === null
        ? {
            code: 'in_queue',
            text: `Its message is in the queue ${functionName}, or with a worker that began with it in this moment. With no worker there, nobody takes it.`,
            sinceMs: enqueuedMs,
          }
        : lookedFor(probe, enqueuedMs)
  }
}

const laterOrDue = (isLater: boolean, dueMs: number | null, sinceMs: number): Explanation => {
  const at = dueMs === null ? 'later' : `at ${new Date(dueMs).toISOString()}`
  const text = isLater
    ? `It is tried again ${at}: it was put off, or an attempt failed.`
    : `It was due ${at}, and its message is published when its lane has a relay and RabbitMQ answers.`
  return { code: isLater ? 'waits_for_its_time' : 'waits_for_relay', text, sinceMs }
}

const lookedFor = ({ round, isSeen }: { round: number; isSeen: boolean }, sinceMs: number | null): Explanation => ({
  code: 'looked_for',
  text: `It has waited for long, so it is looked for: probe ${round} of 2 ${isSeen ? 'has come' : 'is to come'} out of its queue. If its message is lost, it is sent again.`,
  sinceMs,
})

const running = ({ worker, startedMs, silentMs }: Standing): Explanation => {
  const by = worker ?? 'a worker'
  return silentMs !== null && silentMs > silenceMs
    ? {
        code: 'worker_silent',
        text: `It ran in ${by}, which has said nothing of it for ${Math.round(silentMs / 1_000)} s. Another takes it over when RabbitMQ hands its message out again.`,
        sinceMs: startedMs,
      }
    : { code: 'running', text: `It runs in ${by}.`, sinceMs: startedMs }
}
