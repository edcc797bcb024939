import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { spanContextOf } from '@esteira/service/trace'
import { type KeptSpans, keepSpans } from '@esteira/test/traces'
import { type Attributes, type SpanContext, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { afterAll, afterEach, expect, test } from 'vitest'
import * as z from 'zod'
import { type Engine, functionOf, type SavedWorkflow } from '../../test/engine.ts'
import { useEngine } from '../../test/use-engine.ts'
import { defineFunction, fail, readSecrets, snooze } from '../index.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

let kept: KeptSpans | undefined
/** From the first test on that traces. */
const keep = (): KeptSpans => (kept ??= keepSpans())

afterEach(() => {
  kept?.sample(1)
  kept?.forget()
})
afterAll(() => kept?.stop())

type Spans = ReturnType<KeptSpans['spans']>

/** Runs a workflow to its end, until its spans have ended as well, and gives both. */
const runTraced = async (workflow: SavedWorkflow, payload: unknown) => {
  const { spans } = keep()
  const runId = await engine.begin(workflow, payload)
  const status = await engine.over(runId)
  const jobs = await engine.jobs(runId)
  await engine.stopWorkers()
  return { runId, status, jobs, spans: spans().filter(({ attributes }) => isOfRun(attributes, runId)) }
}

const isOfRun = (attributes: Attributes, runId: string): boolean =>
  [attributes['esteira.run.id']].flat().includes(runId)

const named = (spans: Spans, name: string) => spans.filter((span) => span.name === name)

const placeOf = ({ traceId, spanId }: SpanContext) => ({ traceId, spanId })

test('the lines of a job say where in its trace they belong, also before anybody traces', async () => {
  const workflow = await engine.saveWorkflow({ functionName: 'traced.logs', outputType: null })
  const lines: Record<string, unknown>[] = []
  const say = (fields: Record<string, unknown>) => void lines.push(fields)
  const fn = functionOf('traced.logs', ({ log }) => log.info({ event: 'said' }))
  const start = () => engine.startWorker([fn], { log: { debug: say, info: say, warn: say, error: say } })

  const untracing = await start()
  const run = await engine.begin(workflow, null)
  await engine.over(run)
  await engine.stopWorkers()
  const untraced = spanContextOf((await engine.jobs(run))[0]?.traceparent ?? '')
  expect(untraced?.traceFlags).toBe(0)
  expect(lines).toEqual([{ event: 'said', trace_id: untraced?.traceId, span_id: untraced?.spanId }])
  expect(untracing.saw('job.written')).toMatchObject([{ place: { traceId: untraced?.traceId } }])

  keep()
  const tracing = await start()
  const { spans } = await runTraced(workflow, null)
  const place = named(spans, 'function traced.logs')[0]?.spanContext()
  expect(lines[1]).toEqual({ event: 'said', trace_id: place?.traceId, span_id: place?.spanId })
  const processed = named(spans, 'process traced.logs')[0]?.spanContext()
  expect(tracing.saw('job.written')).toMatchObject([{ place: processed && placeOf(processed) }])
})

test('a job with a unit of work of its own has a span of its commit, whether it succeeds or not', async () => {
  const workflow = await engine.saveWorkflow(
    { functionName: 'traced.own', outputType: 'single' },
    { functionName: 'traced.own.fails', outputType: null },
  )
  const own = { config: z.looseObject({}), unit: 'own' } as const
  await engine.startWorker([
    defineFunction({ ...own, name: 'traced.own', run: () => 'done' }),
    defineFunction({ ...own, name: 'traced.own.fails', run: () => fail('as the test wants it') }),
  ])
  const { jobs, spans } = await runTraced(workflow, null)
  expect(jobs.map(({ status }) => status)).toEqual(['succeeded', 'failed'])
  for (const [index, { id }] of jobs.entries()) {
    const name = index === 0 ? 'traced.own' : 'traced.own.fails'
    const ofJob = spans.filter(({ attributes }) => attributes['esteira.job.id'] === id)
    const [[processed], [committed]] = [named(ofJob, `process ${name}`), named(ofJob, `commit ${name}`)]
    expect(committed?.parentSpanContext?.spanId).toBe(processed?.spanContext().spanId)
    expect(named(ofJob, `commit ${name}`)).toHaveLength(1)
  }
})

test('a job is a trace from its row to its commit, and the trace of a child links to where it came from', async () => {
  const workflow = await engine.saveWorkflow(
    { functionName: 'traced.split', outputType: 'multiple' },
    { functionName: 'traced.item', outputType: 'single' },
  )
  await engine.startWorker([functionOf('traced.split', () => ['a', 'b']), functionOf('traced.item', () => 'done')])
  const { runId, jobs, spans } = await runTraced(workflow, null)

  expect(jobs.map(({ step }) => step)).toEqual([0, 1, 1])
  for (const { id, traceparent, step } of jobs) {
    const name = step === 0 ? 'traced.split' : 'traced.item'
    const own = spans.filter(({ attributes }) => attributes['esteira.job.id'] === id)
    expect(own.map((span) => span.name).toSorted()).toEqual(
      ['commit', 'config', 'create', 'function', 'process'].map((part) => `${part} ${name}`),
    )
    // All of them in the one trace that the row has.
    const root = spanContextOf(traceparent)
    expect(new Set(own.map((span) => span.spanContext().traceId))).toEqual(new Set([root?.traceId]))
    const [[created], [processed]] = [named(own, `create ${name}`), named(own, `process ${name}`)]
    expect(created).toMatchObject({ kind: SpanKind.PRODUCER })
    expect(created?.parentSpanContext).toBeUndefined()
    expect(created?.spanContext().spanId).toBe(root?.spanId)
    expect(processed).toMatchObject({
      kind: SpanKind.CONSUMER,
      parentSpanContext: { spanId: root?.spanId },
      attributes: {
        'messaging.system.name': 'rabbitmq',
        'messaging.operation.name': 'process',
        'messaging.operation.type': 'process',
        'messaging.destination.name': name,
        'esteira.run.id': runId,
        'esteira.step.id': workflow.stepIds[step],
        'esteira.step.name': `step ${step}`,
        'esteira.workflow.id': workflow.id,
        'esteira.attempt': 1,
        'esteira.outcome': 'succeeded',
      },
    })
    for (const part of ['config', 'function', 'commit']) {
      expect(named(own, `${part} ${name}`)).toMatchObject([
        {
          parentSpanContext: { spanId: processed?.spanContext().spanId },
          attributes: { 'esteira.run.id': runId, 'esteira.step.id': workflow.stepIds[step] },
        },
      ])
    }
  }

  const [parent] = named(spans, 'process traced.split')
  const linked = named(spans, 'create traced.item').map(({ links }) => links.map((link) => placeOf(link.context)))
  expect(parent).toBeDefined()
  expect(linked).toEqual(Array.from({ length: 2 }, () => [parent && placeOf(parent.spanContext())]))
})

test('what a CronJob brings about links to its beginning, since nobody processes it', async () => {
  const workflow = await engine.saveWorkflow(
    { functionName: 'CronJob', outputType: 'single' },
    { functionName: 'traced.after', outputType: null },
  )
  await engine.startWorker([functionOf('traced.after', () => null)])
  const { spans } = await runTraced(workflow, 1)
  const [[tick], [next]] = [named(spans, 'create CronJob'), named(spans, 'create traced.after')]
  expect(tick?.links).toEqual([])
  expect(next?.links.map((link) => placeOf(link.context))).toEqual([tick && placeOf(tick.spanContext())])
})

test('each attempt is a span of the same trace, with how it ended; waiting on purpose is no error', async () => {
  const name = 'traced.again'
  const workflow = await engine.saveWorkflow({
    functionName: name,
    outputType: null,
    retry: { maxAttempts: 2, delayMs: 1, backoff: 'fixed' },
  })
  let calls = 0
  await engine.startWorker([
    functionOf(name, () => {
      calls += 1
      if (calls === 1) return snooze(1, 'not yet')
      throw Object.assign(new Error('gone'), { code: 'lead_gone' })
    }),
  ])
  const { status, spans } = await runTraced(workflow, { email: 'ana@example.com' })
  expect(status).toBe('failed')
  expect(new Set(spans.flatMap((span) => (span.name === 'commit' ? [] : [span.spanContext().traceId]))).size).toBe(1)
  const failed = { code: SpanStatusCode.ERROR, message: 'gone' }
  expect(named(spans, `process ${name}`)).toMatchObject([
    { attributes: { 'esteira.outcome': 'snoozed' }, status: { code: SpanStatusCode.UNSET } },
    { attributes: { 'esteira.outcome': 'requeued', 'error.type': 'lead_gone' }, status: failed },
    { attributes: { 'esteira.outcome': 'failed', 'error.type': 'lead_gone' }, status: failed },
  ])
  expect(named(spans, `function ${name}`).map((span) => span.status.code)).toEqual([
    SpanStatusCode.UNSET,
    SpanStatusCode.ERROR,
    SpanStatusCode.ERROR,
  ])
  // Neither a stack nor a payload.
  expect(spans.flatMap(({ events }) => events)).toEqual([])
  expect(JSON.stringify(spans.map(({ attributes, status: { message } }) => [attributes, message]))).not.toContain(
    'ana@',
  )
})

test('no span of 500 jobs at once is in the trace of another job, and the spans of their groups are in none', async () => {
  const workflow = await engine.saveWorkflow(
    { functionName: 'CronJob', outputType: 'multiple' },
    { functionName: 'traced.many', outputType: 'single' },
    { functionName: 'traced.last', outputType: null },
  )
  const tracer = trace.getTracer('of a function')
  await engine.startWorker(
    [
      functionOf('traced.many', async ({ job, span }) => {
        span.setAttribute('of', job.id)
        await pause(5)
        return tracer.startActiveSpan('own', { attributes: { of: job.id } }, async (own) => {
          await pause(Math.random() * 20)
          tracer.startSpan('within', { attributes: { of: job.id } }).end()
          own.end()
          return job.id
        })
      }),
      functionOf('traced.last', () => null),
    ],
    { prefetch: 500 },
  )
  const { jobs, spans } = await runTraced(
    workflow,
    Array.from({ length: 500 }, (_, index) => index),
  )
  const traceOf = new Map(jobs.map(({ id, traceparent }) => [id, spanContextOf(traceparent)?.traceId]))
  expect(traceOf.size).toBe(1_001)
  expect(new Set(traceOf.values()).size).toBe(1_001)

  const ofJobs = spans.filter(({ name }) => name !== 'commit')
  const foreign = ofJobs.filter((span) => {
    const { 'esteira.job.id': jobId, of = jobId } = span.attributes
    return of !== jobId || span.spanContext().traceId !== traceOf.get(String(jobId))
  })
  expect(foreign.map(({ name }) => name)).toEqual([])
  for (const name of ['create', 'process', 'config', 'function', 'commit']) {
    expect(named(ofJobs, `${name} traced.many`), name).toHaveLength(500)
  }
  expect(named(ofJobs, 'own')).toHaveLength(500)
  expect(named(ofJobs, 'within')).toHaveLength(500)

  const groups = named(spans, 'commit')
  expect(groups.length).toBeGreaterThan(0)
  expect(groups.filter(({ parentSpanContext }) => parentSpanContext !== undefined)).toEqual([])
  const inGroups = groups.reduce((sum, { attributes }) => sum + Number(attributes['esteira.group.jobs']), 0)
  expect(inGroups).toBe(1_000)
  // A group leads to its jobs, and each of those to its group.
  expect(groups.every(({ links }) => links.length > 0)).toBe(true)
  const groupSpans = new Set(groups.map((span) => span.spanContext().spanId))
  const led = named(ofJobs, 'commit traced.many').flatMap(({ links }) => links.map((link) => link.context.spanId))
  expect(led).toHaveLength(500)
  expect(led.filter((spanId) => !groupSpans.has(spanId))).toEqual([])
})

test('a job whose row is not written has no span', async () => {
  const workflow = await engine.saveWorkflow(
    { functionName: 'traced.refused', outputType: 'multiple' },
    { functionName: 'traced.never', outputType: null },
  )
  await engine.startWorker([functionOf('traced.refused', () => ['fine', 'with a NUL: \0'])])
  const { jobs, spans } = await runTraced(workflow, null)
  expect(jobs).toMatchObject([{ status: 'failed', error: { code: 'output_rejected' } }])
  expect(named(spans, 'create traced.never')).toEqual([])
  expect(named(spans, 'process traced.refused')).toMatchObject([
    { attributes: { 'esteira.outcome': 'failed', 'error.type': 'output_rejected' } },
  ])
})

test('a trace that the sampler leaves out has no span, and its row and message say so', async () => {
  const workflow = await engine.saveWorkflow({ functionName: 'traced.left-out', outputType: null })
  await engine.startWorker([functionOf('traced.left-out', ({ span }) => span.setAttribute('of', 'nobody') && null)])
  keep().sample(0)
  const { jobs, spans } = await runTraced(workflow, null)
  expect(spans).toEqual([])
  expect(jobs).toMatchObject([{ status: 'succeeded', traceparent: expect.stringMatching(/^00-.*-00$/) }])
})

test('a secret is in no span, however the function puts it there', async () => {
  const secret = `${randomBytes(12).toString('hex')}"/ç`
  const traceOfSecret = secret.slice(0, 24)
  const tracer = trace.getTracer('of a function')
  let got = ''
  const fn = defineFunction({
    name: 'traced.secret',
    config: z.object({ token: z.string() }),
    run: ({ config: { token }, span }) => {
      got = token
      span.setAttributes({ token, list: [token], [token]: 1 })
      span.addEvent(`sent ${token}`, { token })
      const own = tracer.startSpan(`GET /?token=${encodeURIComponent(token)}`, { attributes: { token } })
      own.recordException(new Error(token, { cause: new Error(token) }))
      own.end()
      throw Object.assign(new Error(`refused: ${token}`), { code: token, final: true })
    },
  })
  await engine.startWorker([fn], {
    secrets: readSecrets({ directory: '/nowhere', variables: new Map([['crm', secret]]) }),
  })
  const workflow = await engine.saveWorkflow(
    { functionName: 'CronJob', outputType: 'single' },
    { functionName: 'traced.secret', outputType: null, config: { token: { $secret: 'crm' } } },
  )
  const { status, spans } = await runTraced(workflow, null)
  expect([status, got]).toEqual(['failed', secret])
  const written = JSON.stringify(
    spans.map(({ name, attributes, events, links, status: { message } }) => [name, attributes, events, links, message]),
  )
  expect(written).toContain('[secret crm]')
  expect(written).not.toContain(traceOfSecret)
})
