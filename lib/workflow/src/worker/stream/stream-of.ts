import { type StepFunction, timeoutOf } from '../../function/define-function.ts'
import type { DeliverMeans } from '../deliver/deliver.ts'
import { type JobStream, openJobStream } from './job-stream.ts'
import { ageMs, continueMsOf, mostBytes } from './limits.ts'
import type { Pages } from './pages.ts'

/** What takes the items of a job that its function gives one after the other. */
export const streamOf = (
  fn: StepFunction,
  pages: Pages,
  means: Pick<DeliverMeans, 'pageItems' | 'maxPayloadBytes' | 'pageAgeMs' | 'continueMs' | 'pageMemory'>,
): JobStream =>
  openJobStream({
    pages,
    isResumable: fn.isResumable,
    itemKey: fn.itemKey,
    limits: { mostItems: means.pageItems, mostBytes, mostItemBytes: means.maxPayloadBytes },
    memory: means.pageMemory,
    ageMs: means.pageAgeMs ?? ageMs,
    continueMs: continueMsOf(means.continueMs, timeoutOf(fn, pages.job().step)),
  })
