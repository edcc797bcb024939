import type { Log } from '@esteira/service'
import * as z from 'zod'
import { WorkflowError, type WorkflowErrorCode } from '../errors.ts'
import { describeIssues } from '../faults/faults-of-issues.ts'
import type { RetryPolicy } from '../job/retry-policy.ts'
import { configJsonSchema, literalFields, plainJsonSchema } from './json-schema.ts'
import { faultOfOutputType, withoutResultMark } from './without-result.ts'

/** What a function is called with. `signal` is aborted when its time is up or the job is no longer its own. */
export type FunctionContext<Config, Payload> = {
  config: Config
  payload: Payload
  step: { id: string; name: string; outputType: 'single' | 'multiple' | null; hasNext: boolean }
  run: { id: string; workflowId: string }
  /** The job's id is the same in every attempt, so it can serve as an idempotency key. */
  job: { id: string }
  /** The number of this attempt, from 1. */
  attempt: number
  signal: AbortSignal
  /** Fields never hold a payload or a secret. */
  log: Log
}

/** How a function is written. The types of `config` and `payload` follow from the schemas. */
export type FunctionDefinition<Config, Payload> = {
  /** The `functionName` of its steps and the name of its queue. */
  name: string
  config: z.ZodType<Config>
  /** What the payload must look like; without it anything goes. */
  input?: z.ZodType<Payload>
  output?: z.ZodType
  /** Members of the config, with a value each, with which it has no result: its step must have no `outputType` then. */
  withoutResult?: Partial<Config>
  defaults?: { retry?: Partial<RetryPolicy>; timeoutMs?: number }
  /**
   * Returns a result, an async iterable of items, or an outcome (`retry`, `snooze`, `fail`). What it throws is a retry,
   * unless the error has `final: true`.
   */
  run: (context: FunctionContext<Config, Payload>) => unknown
}

/** A function as the worker runtime runs it: the schemas have become checks, and the types are gone. */
export type StepFunction = {
  name: string
  configSchema: Record<string, unknown>
  inputSchema: Record<string, unknown> | null
  outputSchema: Record<string, unknown> | null
  /** Config fields that take no expression. */
  literals: ReadonlySet<string>
  defaults: { retry: Partial<RetryPolicy>; timeoutMs: number }
  /** @throws WorkflowError `config_invalid` or `payload_invalid`, naming each fault by its path, never by its value. */
  call: (context: FunctionContext<unknown, unknown>) => unknown
}

/** Ten minutes: well below the half hour after which RabbitMQ takes a delivery back. */
const defaultTimeoutMs = 600_000

/** Makes a function of a definition; a worker serves it. */
export const defineFunction = <Config, Payload = unknown>(
  definition: FunctionDefinition<Config, Payload>,
): StepFunction => {
  const withoutResult = definition.withoutResult ?? {}
  const configSchema = { ...configJsonSchema(definition.config), [withoutResultMark]: withoutResult }
  const input: z.ZodType<Payload> = definition.input ?? z.any()
  return {
    name: definition.name,
    configSchema,
    inputSchema: definition.input ? plainJsonSchema(definition.input) : null,
    outputSchema: definition.output ? plainJsonSchema(definition.output) : null,
    literals: literalFields(configSchema),
    defaults: {
      retry: definition.defaults?.retry ?? {},
      timeoutMs: definition.defaults?.timeoutMs ?? defaultTimeoutMs,
    },
    call: (context) => {
      const config = checked(definition.config, context.config, 'config', 'config_invalid')
      const fault = faultOfOutputType(context.step.outputType, config, withoutResult)
      if (fault !== null) throw new WorkflowError('config_invalid', `outputType ${fault}`)
      return definition.run({
        ...context,
        config,
        payload: checked(input, context.payload, 'payload', 'payload_invalid'),
      })
    },
  }
}

const checked = <T>(schema: z.ZodType<T>, value: unknown, what: string, code: WorkflowErrorCode): T => {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw new WorkflowError(code, describeIssues(what, result.error.issues, value))
}
