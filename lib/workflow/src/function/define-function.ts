import type { Log } from '@esteira/service'
import type { EntityManager, EntitySchema } from '@mikro-orm/postgresql'
import type { Span } from '@opentelemetry/api'
import * as z from 'zod'
import { WorkflowError, type WorkflowErrorCode } from '../errors.ts'
import { describeIssues, strictObject } from '../faults/faults-of-issues.ts'
import { tooDeepText, unlessTooDeep } from '../faults/too-deep.ts'
import { type RetryPolicy, retryPolicySchema } from '../model/retry-policy.ts'
import { jsonOf } from '../payload/json-of.ts'
import type { Outcome } from './outcome.ts'
import type { Page } from './page.ts'
import { configJsonSchema, literalFields, parameterFields, plainJsonSchema } from './json-schema.ts'
import { faultOfOutputType, withoutResultMark } from './without-result.ts'

/** What a function is called with. */
export type FunctionContext<Config, Payload, Item = unknown> = Given<Config, Payload> & {
  /**
   * Gives items before the function ends, for one that is no generator; it then returns nothing. Wait for it: it resolves
   * when there is room for more, and rejects when the function is to end.
   */
  emit: (items: readonly Item[]) => Promise<void>
}

/** What a function whose pages have a cursor is called with. */
export type ResumableContext<Config, Payload, Item, Cursor> = Given<Config, Payload> & {
  /** The cursor of the last page that was committed, by whichever attempt; null at the beginning. */
  cursor: Cursor | null
  /** Gives a page before the function ends, as `yield page(items, cursor)` does in a generator. */
  emit: (items: readonly Item[], cursor: Cursor) => Promise<void>
  /**
   * How many items the job has, of all its attempts, when all that were given so far are written. With an `itemKey` those
   * that were known already do not count.
   */
  written: () => Promise<number>
}

type Given<Config, Payload> = {
  config: Config
  payload: Payload
  step: { id: string; name: string; outputType: 'single' | 'multiple' | null; hasNext: boolean }
  run: { id: string; workflowId: string }
  /**
   * The job's id is the same in every attempt, so it can serve as an idempotency key. `revision` is how often somebody has
   * sent the job again by hand, 0 at first: where that is to take effect once more, it belongs into the key.
   */
  job: { id: string; revision: number }
  /** The number of this attempt, from 1. */
  attempt: number
  /** How long this attempt may take from its beginning, milliseconds. */
  timeoutMs: number
  /** Aborted when its time is up, or the job is no longer its own. */
  signal: AbortSignal
  /** Fields never hold a payload or a secret. */
  log: Log
  /**
   * The function's own span in the job's trace, for attributes and events. It is the active one, so spans that are begun by
   * `@opentelemetry/api`, and HTTP calls, are its children. Without traces it takes everything and keeps nothing.
   */
  span: Span
  /**
   * Refuses a result that would be refused behind the function's end: for one whose work cannot be undone then, such as a
   * commit in a database of its own.
   *
   * @throws WorkflowError `output_invalid` for what does not fit `output` or holds a secret.
   */
  checkResult: (result: unknown) => void
}

/**
 * What a function may return: its result, the items of one that is an array as they come, nothing after `emit`, or an
 * outcome.
 */
export type Returned<Result> =
  | Result
  | Outcome
  | (unknown extends Result ? never : Result extends readonly (infer Item)[] ? OneByOne<Item> | void : never)

/** A text is one of its letters, but no object. */
type OneByOne<Item> = AsyncIterable<Item> | (Iterable<Item> & object)

/** What a function whose pages have a cursor may return: its pages as they come, nothing after `emit`, or an outcome. */
export type ReturnedPages<Item, Cursor> =
  | AsyncIterable<Page<Item, Cursor>>
  | IterableIterator<Page<Item, Cursor>, unknown, undefined>
  | Outcome
  | undefined

type ItemOf<Result> = Result extends readonly (infer Item)[] ? Item : unknown

/** What a function with a unit of work of its own is called with in addition. */
export type InOwnUnit = {
  /**
   * In the transaction that the job's outcome is written in: what is written through it is there exactly once, when the
   * job succeeds, and not at all otherwise. What was persisted is flushed when the function has ended.
   */
  em: EntityManager
}

/** How a function is written. The types of `config`, `payload` and the result follow from the schemas. */
export type FunctionDefinition<Config, Payload, Output extends z.ZodType> =
  | (Definition<Config, Payload, Output> & { unit?: 'shared'; cursor?: undefined } & Runs<
        FunctionContext<Config, Payload, ItemOf<z.input<Output>>>,
        Output
      >)
  | (Definition<Config, Payload, Output> & {
      /**
       * For a function that writes into Esteira's own database: its jobs are committed one by one, each with the rows
       * that it wrote. An attempt may take 30 s at most, as other transactions wait for what an open one holds.
       */
      unit: 'own'
      cursor?: undefined
      /** What its `em` knows by name. */
      entities?: readonly EntitySchema[]
    } & Runs<FunctionContext<Config, Payload, ItemOf<z.input<Output>>> & InOwnUnit, Output>)

/**
 * How a function with very many items is written that can go on where it was: it gives them by `page(items, cursor)`, and
 * begins behind `context.cursor`.
 */
export type ResumableDefinition<Config, Payload, Output extends z.ZodType, Cursor> = Definition<
  Config,
  Payload,
  Output
> & {
  unit?: 'shared'
  /** What a cursor looks like, 16 KiB of JSON at most. */
  cursor: z.ZodType<Cursor>
  /**
   * The member of an item, a text or a number, that tells it from the others of its job, for a source that may give one
   * twice. Of several with the same the first goes on, and the others are left out, whichever attempts gave them.
   */
  itemKey?: string
  run: (
    context: ResumableContext<Config, Payload, ItemOf<z.input<Output>>, Cursor>,
  ) => ReturnedPages<ItemOf<z.input<Output>>, Cursor> | Promise<ReturnedPages<ItemOf<z.input<Output>>, Cursor>>
}

type Definition<Config, Payload, Output extends z.ZodType> = {
  /** The `functionName` of its steps and the name of its queue. */
  name: string
  config: z.ZodType<Config>
  /** What the payload must look like; without it anything goes. */
  input?: z.ZodType<Payload>
  /**
   * What a result must look like where it goes on or is kept; without it anything goes. It is checked, not changed. Items
   * that are given one after the other are checked as the array that they make, when they are many page by page.
   */
  output?: Output
  /** Members of the config, with a value each, with which it has no result: its step must have no `outputType` then. */
  withoutResult?: Partial<Config>
  defaults?: { retry?: Partial<RetryPolicy>; timeoutMs?: number }
}

type Runs<Context, Output extends z.ZodType> = {
  /**
   * Returns a result, an iterable of items, sync or async, or an outcome (`retry`, `snooze`, `fail`). What it throws is
   * a retry, unless the error has `final: true`.
   */
  run: (context: Context) => Returned<z.input<Output>> | Promise<Returned<z.input<Output>>>
}

/** A function as the worker runtime runs it: the schemas have become checks, and the types are gone. */
export type StepFunction = {
  name: string
  configSchema: Record<string, unknown>
  inputSchema: Record<string, unknown> | null
  outputSchema: Record<string, unknown> | null
  /** Config fields that take no expression. */
  literals: ReadonlySet<string>
  /** Config fields that have a statement's values: of those by their names one that gives nothing is null. */
  parameters: ReadonlySet<string>
  defaults: { retry: Partial<RetryPolicy>; timeoutMs: number }
  /** `own`: a job is committed alone, in the transaction in which its function writes. */
  unit: 'shared' | 'own'
  entities: readonly EntitySchema[]
  /** Its items have a cursor, behind which it can go on. */
  isResumable: boolean
  /** The member that tells its items apart; null when all of them go on. */
  itemKey: string | null
  /** @throws WorkflowError `config_invalid` or `payload_invalid`, naming each fault by its path, never by its value. */
  call: (context: CallContext) => unknown
  /** @throws WorkflowError `output_invalid`, likewise, when a result does not fit. */
  checkResult: (result: unknown) => void
  /** @throws WorkflowError `cursor_invalid` when one that came with items does not fit, or is missing, or is too much. */
  checkCursor: (cursor: unknown) => void
}

/** `em` is there for a function with a unit of work of its own, `written` for one that can go on. */
export type CallContext = Given<unknown, unknown> & {
  em?: EntityManager | undefined
  cursor: unknown
  emit: (items: readonly unknown[], cursor?: unknown) => Promise<void>
  written?: (() => Promise<number>) | undefined
}

/** 25 minutes: RabbitMQ takes a delivery back after 30, and the job must be over before. */
export const maxTimeoutMs = 25 * 60_000

/** Ten minutes: well below the half hour after which RabbitMQ takes a delivery back. */
const defaultTimeoutMs = 600_000

/** An open transaction keeps its locks, and everything that was deleted since it began, for all others. */
const maxOwnTimeoutMs = 30_000

/** Where a published config schema says how long an attempt may take at most, milliseconds, if that is less than for others. */
export const maxTimeoutMark = 'x-esteira-max-timeout-ms'

const defaultsSchema = (mostMs: number) =>
  strictObject({
    retry: strictObject(retryPolicySchema.partial().shape).optional(),
    timeoutMs: z.int().min(1).max(mostMs).optional(),
  })

type DefineFunction = {
  <Config, Cursor, Payload = unknown, Output extends z.ZodType = z.ZodType>(
    definition: ResumableDefinition<Config, Payload, Output, Cursor>,
  ): StepFunction
  <Config, Payload = unknown, Output extends z.ZodType = z.ZodType>(
    definition: FunctionDefinition<Config, Payload, Output>,
  ): StepFunction
}

/**
 * Makes a function of a definition; a worker serves it.
 *
 * @throws WorkflowError `function_invalid` when the defaults do not fit.
 */
export const defineFunction: DefineFunction = <Config, Payload, Output extends z.ZodType, Cursor>(
  definition: FunctionDefinition<Config, Payload, Output> | ResumableDefinition<Config, Payload, Output, Cursor>,
): StepFunction => {
  const unit = definition.unit ?? 'shared'
  const mostMs = unit === 'own' ? maxOwnTimeoutMs : maxTimeoutMs
  checked(defaultsSchema(mostMs), definition.defaults ?? {}, `${definition.name}: defaults`, 'function_invalid')
  const withoutResult = definition.withoutResult ?? {}
  const configSchema = {
    ...configJsonSchema(definition.config),
    [withoutResultMark]: withoutResult,
    ...(unit === 'own' && { [maxTimeoutMark]: maxOwnTimeoutMs }),
  }
  const input: z.ZodType<Payload> = definition.input ?? z.any()
  return {
    name: definition.name,
    configSchema,
    inputSchema: definition.input ? plainJsonSchema(definition.input) : null,
    outputSchema: definition.output ? plainJsonSchema(definition.output) : null,
    literals: literalFields(configSchema),
    parameters: parameterFields(configSchema),
    defaults: {
      retry: definition.defaults?.retry ?? {},
      timeoutMs: definition.defaults?.timeoutMs ?? Math.min(defaultTimeoutMs, mostMs),
    },
    unit,
    entities: definition.unit === 'own' ? (definition.entities ?? []) : [],
    isResumable: definition.cursor !== undefined,
    itemKey: definition.cursor === undefined ? null : (definition.itemKey ?? null),
    call: ({ em, cursor, written, ...context }) => {
      const config = checked(definition.config, context.config, 'config', 'config_invalid')
      const fault = faultOfOutputType(context.step.outputType, config, withoutResult)
      if (fault !== null) throw new WorkflowError('config_invalid', `outputType ${fault}`)
      const given = { ...context, config, payload: checked(input, context.payload, 'payload', 'payload_invalid') }
      if (definition.cursor !== undefined) {
        if (written === undefined)
          throw new WorkflowError('function_invalid', `${definition.name} can go on: tell it what is written`)
        const begin = cursor === null ? null : checkedCursor(definition.cursor, cursor)
        return definition.run({ ...given, cursor: begin, written })
      }
      if (definition.unit !== 'own') return definition.run(given)
      if (em === undefined)
        throw new WorkflowError('function_invalid', `${definition.name} has a unit of its own: give it an em`)
      return definition.run({ ...given, em })
    },
    checkResult: (result) => {
      if (definition.output) checked(definition.output, result, 'result', 'output_invalid')
    },
    checkCursor: (cursor) => {
      if (definition.cursor !== undefined) checkedCursor(definition.cursor, cursor)
      else if (cursor !== undefined)
        throw new WorkflowError('cursor_invalid', `${definition.name} has no cursor to give`)
    },
  }
}

/** How long an attempt may take, whatever its step says, milliseconds. */
export const timeoutOf = ({ unit, defaults }: StepFunction, step: { timeoutMs: number | null }): number =>
  Math.min(step.timeoutMs ?? defaults.timeoutMs, unit === 'own' ? maxOwnTimeoutMs : maxTimeoutMs)

/** A cursor is read with every delivery of its job, and written with every page. */
const maxCursorBytes = 16 * 1024

/** Checked as the next attempt reads it: what JSON makes something else of, such as a Date, would fit until a kill only. */
const checkedCursor = <T>(schema: z.ZodType<T>, cursor: unknown): T => {
  const text = jsonOf(cursor) ?? 'null'
  if (text === 'null') {
    throw new WorkflowError('cursor_invalid', 'items must come as page(items, cursor), and a cursor is never null')
  }
  const bytes = Buffer.byteLength(text)
  if (bytes > maxCursorBytes) {
    throw new WorkflowError('cursor_invalid', `a cursor has ${bytes} bytes as JSON, and ${maxCursorBytes} are allowed`)
  }
  return checked(schema, JSON.parse(text), 'cursor', 'cursor_invalid')
}

const checked = <T>(schema: z.ZodType<T>, value: unknown, what: string, code: WorkflowErrorCode): T => {
  const tooDeep = (cause: unknown): never => {
    throw new WorkflowError(code, `${what} ${tooDeepText(value)}`, { cause })
  }
  // A schema that holds itself, as that of any JSON does, calls itself for each level.
  const result = unlessTooDeep(() => schema.safeParse(value), tooDeep)
  if (result.success) return result.data
  throw new WorkflowError(code, describeIssues(what, result.error.issues, value))
}
