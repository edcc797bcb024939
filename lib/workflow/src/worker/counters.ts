import { type Metric, prometheusText } from '@esteira/service'
import { WorkflowError } from '../errors.ts'
import { type Blame, blameFor } from './commit/blame.ts'
import type { WorkerEvent } from './worker-options.ts'

/** Labels of a sample: few values each, and never an id, as every new one is kept for the life of the process. */
export type CountLabels = Record<string, string>

/** What a worker process counts, for its `/metrics`. */
export type Counters = {
  /** Counts one more under a name such as `esteira_statements_failed_total`. */
  count: (name: string, labels?: CountLabels) => void
  /** Counts what an event of the worker tells of. */
  observe: (event: WorkerEvent) => void
  /** Whether RabbitMQ was there when it was last heard of. */
  isOnBelt: () => boolean
  /** In the text format of Prometheus. */
  text: () => string
}

const jobs = 'esteira_worker_jobs_total'
const dropped = 'esteira_worker_deliveries_dropped_total'
const handedBack = 'esteira_worker_deliveries_handed_back_total'
const refused = 'esteira_worker_results_refused_total'
const deaths = 'esteira_worker_wards_died_total'
const abandoned = 'esteira_worker_functions_abandoned_total'
const stuck = 'esteira_worker_functions_stuck_total'
const heldUp = 'esteira_worker_commits_held_up_total'
const beltFaults = 'esteira_worker_belt_faults_total'
const unreadable = 'esteira_worker_messages_unreadable_total'

const help: Readonly<Record<string, string>> = {
  [jobs]: 'attempts at jobs whose end this worker has written, by how they ended',
  [dropped]: 'deliveries that brought nothing to do, by why',
  [handedBack]: 'deliveries whose job was not written, and which come again, by why',
  [refused]: 'ends of jobs that the database refused, by no fault of theirs: their deliveries come again',
  [deaths]: 'processes for suspect jobs that died',
  [abandoned]: 'attempts that ran on after their time, and whose place another job was given',
  [stuck]: 'times that a function had no place left, for attempts that ran on after their time',
  [heldUp]: 'times that ends of jobs left their commit, as somebody held a job, or its run, locked',
  [beltFaults]: 'times that the consumer of a queue ended or could not be opened, or left deliveries undone at its end',
  [unreadable]: 'messages that are none of ours, and were dropped',
}

/** Its end was refused, its worker stopped, or whose fault it was that nothing was written. */
type HandBackReason = 'refused' | 'stopped' | Blame

const whyHandedBack = (error: unknown): HandBackReason =>
  error instanceof WorkflowError && error.code === 'worker_stopped' ? 'stopped' : blameFor(error)

export const createCounters = (): Counters => {
  const byName = new Map<string, Map<string, { labels: CountLabels; value: number }>>()
  let isOnBelt = true

  const add = (name: string, labels: CountLabels, more: number): void => {
    const samples = byName.get(name) ?? new Map<string, { labels: CountLabels; value: number }>()
    byName.set(name, samples)
    const key = JSON.stringify(labels)
    const sample = samples.get(key) ?? { labels, value: 0 }
    samples.set(key, sample)
    sample.value += more
  }
  const count = (name: string, labels: CountLabels = {}): void => add(name, labels, 1)
  const countHandedBack = (functionName: string, reason: HandBackReason): void =>
    count(handedBack, { function: functionName, reason })

  const observe = (event: WorkerEvent): void => {
    if (event.kind === 'job.written') count(jobs, { function: event.functionName, ending: event.ending })
    if (event.kind === 'delivery.dropped') count(dropped, { function: event.functionName, reason: event.reason })
    if (event.kind === 'delivery.refused') countHandedBack(event.functionName, 'refused')
    if (event.kind === 'delivery.handed-back') countHandedBack(event.functionName, whyHandedBack(event.error))
    if (event.kind === 'commit.refused') add(refused, {}, event.jobs)
    if (event.kind === 'ward.died') count(deaths)
    if (event.kind === 'function.abandoned') count(abandoned, { function: event.functionName })
    if (event.kind === 'function.stuck') count(stuck, { function: event.functionName })
    if (event.kind === 'commit.held-up') count(heldUp)
    if (event.kind === 'belt.fault') count(beltFaults, { queue: event.queue })
    if (event.kind === 'belt.unreadable') count(unreadable, { queue: event.queue })
    if (event.kind === 'belt.lost') isOnBelt = false
    if (event.kind === 'belt.back') isOnBelt = true
  }

  const metricOf = (name: string, samples: Iterable<{ labels: CountLabels; value: number }>): Metric => ({
    name,
    type: 'counter',
    help: help[name] ?? 'counted by a function of this worker',
    samples: [...samples],
  })

  return {
    count,
    observe,
    isOnBelt: () => isOnBelt,
    text: () => prometheusText([...byName].map(([name, samples]) => metricOf(name, samples.values()))),
  }
}
