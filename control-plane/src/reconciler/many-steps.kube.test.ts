import { isDeepStrictEqual } from 'node:util'
import { cloneDatabase, waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { openApi } from '../../test/open-api.ts'
import { podTemplate } from '../../test/pod-template.ts'
import { anchorName, cluster, useRelease, way } from '../../test/use-release.ts'
import { accept } from './cluster/call.ts'
import { cronJobsPath } from './cluster/list-cron-jobs.ts'
import { cronJobsOf } from './cron-jobs.ts'
import { ownSelector } from './labels.ts'
import { type ReconcilerEvent, startReconciler } from './start-reconciler.ts'

useRelease()

const steps = 2_000

/** As the API would save them, in one statement. */
const saveSteps = `
  with flow as (
    insert into workflow (id, name, automation_type, version)
    select gen_random_uuid(), 'workflow ' || n, 'step', 1 from generate_series(1, $1::int / 50) as n returning id
  )
  insert into workflow_step (id, version, workflow_id, position, name, function_name, config)
  select gen_random_uuid(), 1, flow.id, n, 'step ' || n, 'CronJob', '{"schedule":"0 0 29 2 *"}'
  from flow, generate_series(0, 49) as n`

/** What a list of metadata comes to, in bytes. */
const bytesOfList = async (): Promise<number> => {
  const query = { labelSelector: ownSelector(anchorName) }
  const request = {
    method: 'GET',
    path: cronJobsPath(cluster),
    query,
    headers: { accept: accept.metadataList },
  } as const
  const { body } = await cluster.send(request, AbortSignal.timeout(30_000))
  return (await body.bytes()).length
}

test('2,000 steps cost four calls a resync, and who leads next writes nothing', { timeout: 600_000 }, async () => {
  const database = await cloneDatabase()
  const api = await openApi(database.url, { cron: 'kubernetes' })
  const events: ReconcilerEvent[] = []
  const saw = (kind: ReconcilerEvent['kind']) => events.filter((event) => event.kind === kind)
  const options = {
    orm: api.orm,
    databaseUrl: database.url,
    cronJobs: cronJobsOf(cluster, anchorName, new AbortController().signal),
    anchor: anchorName,
    readTemplate: async () => podTemplate,
    observe: (event: ReconcilerEvent) => events.push(event),
  }
  await api.query(saveSteps, [steps])
  const first = startReconciler(options)
  onTestFinished(async () => {
    await first.stop()
    await api.close()
    await database.drop()
  })
  // All the CPU that is taken meanwhile is the reconciler's to have.
  const applied = () =>
    api.query('select count(*)::int from workflow_cron_job where trouble is null and object is not null')
  await waitFor(async () => isDeepStrictEqual(await applied(), [{ count: steps }]), {
    deadlineMs: 400_000,
    pauseMs: 500,
    describe: applied,
  })
  await first.stop()

  // Whoever leads next lists twice, looks on in between, and writes nothing.
  const before = way.requests().length
  events.splice(0)
  const next = startReconciler({ ...options, resyncMs: 6_000 })
  onTestFinished(next.stop)
  const asked = () => way.requests().slice(before)
  await waitFor(() => asked().filter(({ isWatch }) => isWatch).length === 2, { deadlineMs: 60_000, describe: asked })
  await next.stop()
  expect(asked().map(({ method, isWatch, path }) => `${isWatch ? 'WATCH' : method} ${path.split('/').at(-1)}`)).toEqual(
    [1, 2].flatMap(() => [`GET ${anchorName}`, 'GET cronjobs', 'GET cronjobs', 'WATCH cronjobs']),
  )
  expect(saw('cron-jobs.drifted')).toEqual([])
  expect(saw('cron-jobs.changed')).toEqual([])
  const bytes = await bytesOfList()
  process.stdout.write(
    `${steps} steps: a list is ${(bytes / 1_048_576).toFixed(1)} MiB, ${Math.round(bytes / steps)} bytes a step\n`,
  )
  expect(bytes / steps).toBeLessThan(6_000)
})
