import { startProxy, waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { type Engine, functionOf } from '../../../test/engine.ts'
import { holdCommits } from '../../../test/hold-commits.ts'
import { numbers, openStreams, pageItems, pageOf, resumableOf } from '../../../test/streams.ts'
import { useEngine } from '../../../test/use-engine.ts'
import { cancelRun } from '../../index.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

const { begin, itemsOf, parentOf } = openStreams(() => engine)

test('when the acceptance of hidden children is cut short, it is taken up again and the function is not', async () => {
  let attempts = 0
  await engine.query(`
    create function refuse_third_page() returns trigger language plpgsql as $$
      begin
        if old.status = 'hidden' and new.item_index >= 20 then raise exception 'not now'; end if;
        return new;
      end $$;
    create trigger refuse before update on workflow_job for each row execute function refuse_third_page()`)
  const { run, worker } = await begin(
    functionOf('accepted', async function* () {
      attempts += 1
      yield* numbers(0, 55)
    }),
  )
  try {
    await waitFor(() => worker.saw('delivery.handed-back').length > 0)
    expect(await itemsOf(run)).toEqual(numbers(0, 20))
    expect(await engine.untrueCounters()).toEqual([])
  } finally {
    await engine.query('drop function refuse_third_page cascade')
  }
  expect(await engine.over(run)).toBe('succeeded')
  expect(await itemsOf(run)).toEqual(numbers(0, 55))
  expect(attempts).toBe(1)
})

test('a page whose commit was not answered is there once', async () => {
  const link = await startProxy(engine.databaseUrl)
  onTestFinished(link.stop)
  const fn = resumableOf('unanswered', async function* () {
    for (let first = 0; first < 40; first += 10) yield pageOf(first, 10)
  })
  const worker = await engine.startWorker([fn, functionOf('unanswered.next', () => undefined)], {
    pageItems,
    databaseUrl: link.url,
  })
  const hold = await holdCommits(engine.em(), `new.emitted = 20 and new.finished_at is null`)
  const workflow = await engine.saveWorkflow(
    { functionName: 'unanswered', outputType: 'multiple' },
    { functionName: 'unanswered.next', outputType: null },
  )
  const run = await engine.begin(workflow, null)
  await waitFor(hold.isHolding)
  link.cut()
  await hold.release()
  await waitFor(async () => (await parentOf(run)).emitted === 20)
  await waitFor(() => worker.saw('database.unavailable').length > 0)
  link.resume()
  expect(await engine.over(run)).toBe('succeeded')
  expect(await itemsOf(run)).toEqual(numbers(0, 40))
})

test('a cancel that is heard while the claim of a first page is being committed ends the job all the same', async () => {
  const signals: AbortSignal[] = []
  const fn = resumableOf('claimed late', async function* ({ signal }) {
    signals.push(signal)
    yield pageOf(0, pageItems)
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
  })
  const hold = await holdCommits(engine.em(), 'old.claim is null and new.claim is not null')
  const { run } = await begin(fn)
  await waitFor(hold.isHolding)
  await cancelRun(engine.em(), run)
  await waitFor(() => signals[0]?.aborted === true)
  await hold.release()
  expect(await engine.over(run)).toBe('cancelled')
  expect((await engine.jobs(run)).filter(({ status }) => status !== 'cancelled')).toEqual([])
})
