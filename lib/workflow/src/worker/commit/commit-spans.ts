import { context, type Link, type Span, trace } from '@opentelemetry/api'
import { contextAt, isSampled, withAttributes } from '@esteira/service/trace'
import type { FinishedJob } from '../../job/held-job.ts'
import { jobAttributes } from '../../trace/job-attributes.ts'
import { tracer } from '../../trace/tracer.ts'

/**
 * Commits a group within spans: one of the group, which is a trace of its own and links to its jobs, and one in the trace of
 * each job that is recorded, which links to the group's. A group without such a job costs nothing.
 */
export const inCommitSpans = async <T>(group: readonly FinishedJob[], commit: () => Promise<T>): Promise<T> => {
  const recorded = group.flatMap(({ job, place }) => (place !== undefined && isSampled(place) ? [{ job, place }] : []))
  if (recorded.length === 0) return commit()
  const runs = [...new Set(group.map(({ job }) => job.runId))]
  const whole = tracer.startSpan('commit', {
    attributes: { 'esteira.run.id': runs.length === 1 ? runs[0] : runs, 'esteira.group.jobs': group.length },
    links: recorded.map(({ job, place }): Link => ({ context: place, attributes: jobAttributes(job) })),
  })
  const links = whole.isRecording() ? [{ context: whole.spanContext() }] : []
  const spans = recorded.map(({ job, place }): Span => {
    const within = withAttributes(contextAt(place), jobAttributes(job))
    return tracer.startSpan(`commit ${job.functionName}`, { links }, within)
  })
  try {
    return await context.with(trace.setSpan(context.active(), whole), commit)
  } finally {
    for (const span of [...spans, whole]) span.end()
  }
}
