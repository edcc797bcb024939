import type { ConfigTemplate } from '../config/resolve-config.ts'
import { WorkflowError } from '../errors.ts'
import type { HiddenSecrets } from '../secrets/hide-secrets.ts'
import type { FunctionContext, StepFunction } from './define-function.ts'
import { isOutcome } from './outcome.ts'

/**
 * Calls a function with its config filled in, and gives its result or outcome. Items of an async iterable come as an
 * array.
 *
 * @throws WorkflowError when config, payload or result do not fit, the reason of a signal that is aborted before the
 * call, and whatever the function throws.
 */
export const callFunction = async (
  fn: StepFunction,
  config: ConfigTemplate,
  hidden: HiddenSecrets,
  context: Omit<FunctionContext<unknown, unknown>, 'config'>,
): Promise<unknown> => {
  const { payload, run, step, log } = context
  const filled = await config({ payload, run, step }, hidden.secrets)
  // An expression that runs apart may have taken its time: the job can be over, or another's, by now.
  context.signal.throwIfAborted()
  const result = await collect(await fn.call({ ...context, config: filled, log: hidden.inLog(log) }))
  if (isOutcome(result)) return result
  // Without an outputType nothing comes out, so a result has no shape to keep, and nothing of it is stored.
  if (step.outputType === null) return result
  fn.checkResult(result)
  const held = hidden.heldBy(result)
  if (held === undefined) return result
  throw new WorkflowError('output_invalid', `the result holds the secret "${held}", which is never stored`)
}

const collect = async (result: unknown): Promise<unknown> =>
  isAsyncIterable(result) ? await Array.fromAsync(result) : result

const isAsyncIterable = (value: unknown): value is AsyncIterable<unknown> =>
  typeof value === 'object' && value !== null && Symbol.asyncIterator in value
