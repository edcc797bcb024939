import type { Log } from '@esteira/service'
import { withHiding } from '@esteira/service/trace'
import { context as active } from '@opentelemetry/api'
import type { ConfigTemplate } from '../config/resolve-config.ts'
import { WorkflowError } from '../errors.ts'
import type { HiddenSecrets } from '../secrets/hide-secrets.ts'
import { inSpan } from '../trace/in-span.ts'
import type { CallContext, StepFunction } from './define-function.ts'
import { isOutcome } from './outcome.ts'

/**
 * Calls a function with its config filled in, and gives its result or outcome. Items of an async iterable come as an
 * array; when the signal is aborted meanwhile it is told to end, so that a generator closes what it has open. Both the
 * filling in and the function have a span, and no span that begins in them tells a secret.
 *
 * @throws WorkflowError when config, payload or result do not fit, the reason of a signal that is aborted before the
 * call, and whatever the function throws.
 */
export const callFunction = (
  fn: StepFunction,
  config: ConfigTemplate,
  hidden: HiddenSecrets,
  context: UncalledContext,
): Promise<unknown> =>
  active.with(withHiding(active.active(), hidden.inText), () => callHidden(fn, config, hidden, context))

type UncalledContext = Omit<CallContext, 'config' | 'span'>

const callHidden = async (
  fn: StepFunction,
  config: ConfigTemplate,
  hidden: HiddenSecrets,
  context: UncalledContext,
): Promise<unknown> => {
  const { payload, run, step, log } = context
  const filled = await inSpan(`config ${fn.name}`, () => config({ payload, run, step }, hidden.secrets))
  // An expression that runs apart may have taken its time: the job can be over, or another's, by now.
  context.signal.throwIfAborted()
  const told = hidden.inLog(log)
  const result = await inSpan(`function ${fn.name}`, async (span) => {
    const given = await fn.call({ ...context, config: filled, log: told, span })
    return isAsyncIterable(given) ? collect(given, context.signal, told) : given
  })
  if (isOutcome(result)) return result
  checkResult(fn, result, step.outputType, hidden)
  await context.em?.flush()
  return result
}

const checkResult = (fn: StepFunction, result: unknown, outputType: string | null, hidden: HiddenSecrets): void => {
  // Without an outputType nothing comes out, so a result has no shape to keep, and nothing of it is stored.
  if (outputType === null) return
  fn.checkResult(result)
  const held = hidden.heldBy(result)
  if (held !== undefined) {
    throw new WorkflowError('output_invalid', `the result holds the secret "${held}", which is never stored`)
  }
}

const collect = async (items: AsyncIterable<unknown>, signal: AbortSignal, log: Log): Promise<unknown[]> => {
  const iterator = items[Symbol.asyncIterator]()
  const end = () => void endEarly(iterator, log)
  if (signal.aborted) end()
  signal.addEventListener('abort', end, { once: true })
  try {
    const collected: unknown[] = []
    for (;;) {
      const next = await iterator.next()
      signal.throwIfAborted()
      if (next.done === true) return collected
      collected.push(next.value)
    }
  } finally {
    signal.removeEventListener('abort', end)
  }
}

/** A generator hears of it where it yields next. Nobody waits for that: its attempt is over. */
const endEarly = async (iterator: AsyncIterator<unknown>, log: Log): Promise<void> => {
  try {
    await iterator.return?.()
  } catch (error) {
    log.warn({ event: 'function.end-failed', err: error })
  }
}

const isAsyncIterable = (value: unknown): value is AsyncIterable<unknown> =>
  typeof value === 'object' && value !== null && Symbol.asyncIterator in value
