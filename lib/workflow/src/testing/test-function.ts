import type { Log } from '@esteira/service'
import type { EntityManager } from '@mikro-orm/postgresql'
import { compileConfig } from '../config/resolve-config.ts'
import { WorkflowError } from '../errors.ts'
import { callFunction } from '../function/call-function.ts'
import type { StepFunction } from '../function/define-function.ts'
import { isOutcome, type Outcome, outcomeMark } from '../function/outcome.ts'
import { defaultMaxPayloadBytes, limitPlaced } from '../payload/payload-limit.ts'
import { placeResult } from '../payload/place-result.ts'
import { jsonOf } from '../payload/json-of.ts'
import { unstorableFault, unstorableItem, unstorableJson } from '../payload/unstorable.ts'
import { hideSecrets } from '../secrets/hide-secrets.ts'
import type { Secrets } from '../secrets/read-secrets.ts'

/** A job as a test writes it; what is left out is as usual. */
export type TrialJob = {
  /** The step's config as it would be saved: with expressions in `{{ }}` and references to secrets. */
  config?: Record<string, unknown>
  payload?: unknown
  /** The values of the secrets that the config names. */
  secrets?: Readonly<Record<string, string>>
  /** Where the result goes; `single` unless given. */
  outputType?: 'single' | 'multiple' | null
  /** Whether another step comes after this one; so it is unless given. */
  hasNext?: boolean
  attempt?: number
  /** How often somebody has sent the job again by hand; never unless given. */
  revision?: number
  /** Where a function that can go on begins; at the beginning unless given. */
  cursor?: unknown
  signal?: AbortSignal
  log?: Log
  /** For a function with a unit of work of its own: in a transaction of the test, which decides what becomes of it. */
  em?: EntityManager
}

/**
 * What came of it: the items or the output that the next step would get, nothing under `outputType` null, or an outcome.
 * Values are as JSON carries them.
 */
export type Trial =
  | { kind: 'items'; items: unknown[] }
  | { kind: 'output'; output: unknown }
  | { kind: 'nothing' }
  | { kind: 'retry' | 'fail'; reason: string }
  | { kind: 'snooze'; delayMs: number; reason: string | null }

/**
 * Runs a function for one job as a worker does, with its expressions, secrets and checks, but without any server, and
 * within the time of the test. Config and payload are not checked as by the API, which knows more when a step is saved.
 *
 * @throws what fails the job or has it tried again: a WorkflowError of a check, or whatever the function throws.
 */
export const testFunction = async (fn: StepFunction, job: TrialJob = {}): Promise<Trial> => {
  const {
    config = {},
    secrets = {},
    outputType = 'single',
    hasNext = true,
    attempt = 1,
    revision = 0,
    log = silent,
  } = job
  const payload = asJson(job.payload)
  const step = { id: 'step', name: 'tested', outputType, hasNext }
  const template = compileConfig(config, fn.literals, fn.parameters)
  const result = await callFunction(fn, template, hideSecrets(secretsOf(secrets)), {
    payload,
    step,
    run: { id: 'run', workflowId: 'workflow' },
    job: { id: 'job', revision },
    attempt,
    timeoutMs: fn.defaults.timeoutMs,
    cursor: job.cursor ?? null,
    signal: job.signal ?? new AbortController().signal,
    log,
    em: job.em,
    mostBytes: defaultMaxPayloadBytes,
  })
  if (isOutcome(result)) return trialOf(result)
  const placed = placeResult({ ...step, next: hasNext ? nextStep : null }, result)
  limitPlaced(placed, step.name, defaultMaxPayloadBytes)
  if (outputType === null || placed.kind === 'input') return { kind: 'nothing' }
  switch (placed.kind) {
    case 'items':
      return { kind: 'items', items: itemsAsStored(placed.items) }
    case 'whole':
      return { kind: 'output', output: asStored(placed.result) }
    case 'output':
      return { kind: 'output', output: asStored(placed.output) }
  }
}

const nextStep = { id: 'next', functionName: 'Next' }

const trialOf = (outcome: Outcome): Trial => {
  switch (outcome[outcomeMark]) {
    case 'retry':
      return { kind: 'retry', reason: outcome.reason }
    case 'fail':
      return { kind: 'fail', reason: outcome.reason }
    case 'snooze':
      return { kind: 'snooze', delayMs: outcome.delayMs, reason: outcome.reason }
  }
}

/** Secrets of the test alone: those of the machine that it runs on must not make it pass. */
export const secretsOf = (given: Readonly<Record<string, string>>): Secrets => {
  const values = new Map(Object.entries(given))
  return async (name) => {
    const value = values.get(name)
    if (value !== undefined) return value
    throw new WorkflowError('secret_missing', `secret "${name}" is not there: it is not among the secrets of the test`)
  }
}

const asJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value) ?? 'null')

/** A result as the next step reads it; what cannot be stored is refused as in a worker. */
const asStored = (value: unknown): unknown => {
  const stored: unknown = JSON.parse(jsonOf(value) ?? 'null')
  expectStorable(unstorableJson(stored))
  return stored
}

const itemsAsStored = (items: readonly unknown[]): unknown[] => {
  const stored = items.map((item): unknown => JSON.parse(jsonOf(item) ?? 'null'))
  expectStorable(unstorableItem(stored))
  return stored
}

const expectStorable = (place: string | null): void => {
  if (place === null) return
  throw new WorkflowError('output_rejected', `the result cannot be stored: ${unstorableFault(place)}`)
}

const nothing = () => {}
/** Says nothing. */
export const silent: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing }
