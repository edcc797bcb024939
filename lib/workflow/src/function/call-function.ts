import { isTraced, withHiding } from '@esteira/service/trace'
import { context as active } from '@opentelemetry/api'
import type { ConfigTemplate } from '../config/resolve-config.ts'
import { WorkflowError } from '../errors.ts'
import { describeKind } from '../faults/wording.ts'
import type { HiddenSecrets } from '../secrets/hide-secrets.ts'
import { inSpan } from '../trace/in-span.ts'
import type { CallContext, StepFunction } from './define-function.ts'
import { hearOf } from './hear-of.ts'
import { collectItems, dropItems, type OpenSink } from './item-sink.ts'
import { isOutcome } from './outcome.ts'
import { isPage } from './page.ts'
import { isIterable, readItems } from './read-items.ts'

/**
 * Calls a function with its config filled in, and gives its result or outcome. Items that it gives one after the other, as
 * an iterable or by `emit`, go into the sink; its result are those that are left there at its end. Both the filling
 * in and the function have a span, and no span that begins in them tells a secret.
 *
 * @throws WorkflowError when config, payload or result do not fit, the reason of a signal that is aborted before the
 * call, and whatever the function throws.
 */
export const callFunction = (
  fn: StepFunction,
  config: ConfigTemplate,
  hidden: HiddenSecrets,
  context: UncalledContext,
): Promise<unknown> => {
  const call = () => callHidden(fn, config, hidden, context)
  return isTraced() ? active.with(withHiding(active.active(), hidden.inText), call) : call()
}

/**
 * `openSink` opens what takes the items that are given one after the other; without it they are collected, up to `mostBytes`
 * where they make one value.
 */
type UncalledContext = Omit<CallContext, 'config' | 'span' | 'emit' | 'written' | 'checkResult'> & {
  openSink?: OpenSink | undefined
  mostBytes: number
}

const callHidden = async (
  fn: StepFunction,
  config: ConfigTemplate,
  hidden: HiddenSecrets,
  { openSink, mostBytes, ...context }: UncalledContext,
): Promise<unknown> => {
  const { payload, run, step, signal, log } = context
  const filled = await inSpan(`config ${fn.name}`, () => config({ payload, run, step }, hidden.secrets, signal))
  // An expression that runs apart may have taken its time: the job can be over, or another's, by now.
  signal.throwIfAborted()
  const told = hidden.inLog(log)
  const isOneValue = step.outputType !== 'multiple' || !step.hasNext
  const collecting = { step: step.name, itemKey: fn.itemKey, mostBytes: isOneValue ? mostBytes : null }
  const check = (given: unknown) => checkResult(fn, given, step.outputType, hidden)
  const sink = (openSink ?? (step.outputType === null ? dropItems : collectItems(collecting)))(check)
  let hasGiven = false
  let hasEnded = false
  const take = (items: readonly unknown[], cursor: unknown): Promise<void> | null => {
    hasGiven = true
    if (!Array.isArray(items)) throw new WorkflowError('output_invalid', noItems(fn, items))
    fn.checkCursor(cursor)
    if (fn.isResumable) checkHolds(cursor, hidden)
    return sink.take(items, cursor)
  }
  const give = (value: unknown) => (isPage(value) ? take(value.items, value.cursor) : take([value], undefined))
  const result = await inSpan(`function ${fn.name}`, async (span) => {
    const emitted = hearOf()
    const emit = (items: readonly unknown[], cursor?: unknown) =>
      emitted.give(() => {
        context.signal.throwIfAborted()
        if (hasEnded) throw new WorkflowError('attempt_failed', 'the attempt is over')
        return take(items, cursor)
      })
    const readAll = async (): Promise<{ given: unknown; last: unknown }> => {
      const given = await fn.call({
        ...context,
        config: filled,
        log: told,
        span,
        emit,
        written: sink.written,
        checkResult: check,
      })
      const last = isIterable(given) ? await readItems(given, give, context.signal, told) : given
      return { given, last }
    }
    const { given, last } = await readAll().finally(() => {
      hasEnded = true
    })
    // One that emits has nothing more to give when all that it had was written by the attempts before.
    if (isIterable(given) || (fn.isResumable && given === undefined)) hasGiven = true
    // Items would be missing that were refused without anybody's knowledge.
    emitted.throwUnheard()
    if (isIterable(given) && last !== undefined && !isOutcome(last))
      throw new WorkflowError('output_invalid', atTheEnd(fn))
    return last
  })
  if (isOutcome(result)) return result
  if (hasGiven) {
    if (result !== undefined) throw new WorkflowError('output_invalid', bothWays(fn))
    const rest = await sink.end()
    await context.em?.flush()
    return rest
  }
  check(result)
  await context.em?.flush()
  return result
}

const bothWays = ({ name }: StepFunction): string =>
  `${name} gave items by emit, and then a result as well: the rest is to be emitted too`

const noItems = ({ name }: StepFunction, items: unknown): string =>
  `${name} gave a page: its items must be an array, but ${describeKind(items)} came`

const atTheEnd = ({ name }: StepFunction): string =>
  `${name} gave items one by one, and then returned a result as well: the rest is to be given by yield too`

/** The address that an API gives for its next page often has the token in it. */
const checkHolds = (cursor: unknown, hidden: HiddenSecrets): void => {
  const held = hidden.heldBy(cursor)
  if (held === undefined) return
  throw new WorkflowError('cursor_invalid', `the cursor holds the secret "${held}", which is never stored`)
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
