import { cloneDatabase, waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import * as z from 'zod'
import { leadsSteps, openApi } from '../../test/open-api.ts'
import { workflowDocument } from '../workflows/document.ts'
import { startWatchingTicks, type TickWatchEvent } from './watch-ticks.ts'

const deadlineMs = 20_000
const listed = z.object({ items: z.array(z.object({ overdueTick: z.iso.datetime().nullable() })) })

test('a tick that nobody fires is told once, and shown until a run has begun', async () => {
  const database = await cloneDatabase()
  const api = await openApi(database.url)
  const events: TickWatchEvent[] = []
  const watch = startWatchingTicks(api.orm, (event) => {
    if (event.kind === 'tick.overdue' || event.kind === 'ticks.watched') events.push(event)
  })
  onTestFinished(async () => {
    await watch.stop()
    await api.close()
    await database.drop()
  })
  const overdue = async () => {
    const seen = events.length
    watch.wake()
    await waitFor(() => events.slice(seen).some(({ kind }) => kind === 'ticks.watched'), { deadlineMs })
    return events.findLast(({ kind }) => kind === 'ticks.watched')
  }
  const shown = async () => listed.parse((await api.send('GET', '/v1/cron-jobs')).body).items[0]?.overdueTick
  const yearly = { schedule: '0 0 1 1 *', payload: [{ segmentationId: 1 }] }
  const steps = [{ ...leadsSteps[0], config: yearly }, ...leadsSteps.slice(1)]
  const saved = workflowDocument.parse((await api.send('POST', '/v1/workflows', { name: 'leads', steps })).body)
  expect(await overdue()).toEqual({ kind: 'ticks.watched', overdue: 0 })
  expect(await shown()).toBeNull()

  await api.query(`update workflow_schedule set since = now() - interval '400 days'`)
  expect(await overdue()).toEqual({ kind: 'ticks.watched', overdue: 1 })
  expect(await overdue()).toEqual({ kind: 'ticks.watched', overdue: 1 })
  const at = await shown()
  expect(at).toMatch(/^20..-01-01T00:00:00/)
  const stepId = saved.steps[0]?.id
  expect(events.filter(({ kind }) => kind === 'tick.overdue')).toEqual([
    { kind: 'tick.overdue', stepId, step: leadsSteps[0]?.name, workflow: 'leads', at },
  ])

  await api.send('POST', `/v1/workflows/${saved.id}/runs`)
  // As a tick would have begun it.
  await api.query(`update workflow_run set trigger = 'cron'`)
  expect(await overdue()).toEqual({ kind: 'ticks.watched', overdue: 0 })
  expect(await shown()).toBeNull()
})
