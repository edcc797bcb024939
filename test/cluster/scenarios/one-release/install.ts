import { beforeAll, describe, expect, test } from 'vitest'
import { documentedLeads } from '../../support/leads.ts'
import { endings, holds, listObjects, podShape } from '../../support/objects.ts'
import type { TestRelease } from '../../support/release.ts'
import { completed, cronJobOf, stepIdOf, tickOf, toldOf } from '../../support/ticks.ts'

/** Of each of the two segmentations that the workflow takes. */
const leads = 300

/** What holds for a release of which nothing was asked yet, over the table of the documents. */
export const install = (of: () => TestRelease): void => {
  describe('from nothing', () => {
    let release: TestRelease
    beforeAll(() => {
      release = of()
      release.services.rdStation.control.set({ leads })
    })

    test('helm install has everything ready, and nothing had to be started twice', async () => {
      const pods = await listObjects(release.namespace, podShape, 'pods')
      expect(pods.filter((pod) => !holds('Ready', pod))).toEqual([])
      expect(pods.flatMap(endings).toSorted((a, b) => a.name.localeCompare(b.name))).toEqual(
        ['control-plane', 'outbox-relay', 'outbox-relay', 'outbox-relay', 'worker', 'worker'].map((name) => ({
          name,
          exitCode: undefined,
          restarts: 0,
        })),
      )
      process.stdout.write(`ready ${release.seconds.toFixed(1)} s after helm install, the database being empty\n`)
    })

    test('a workflow saved by the API becomes a CronJob, and the leads of its next tick are in the table', async () => {
      const { api, services } = release
      const document = documentedLeads()
      const workflow = await api.createWorkflow(document)
      const stepId = stepIdOf(workflow)
      try {
        const { metadata, spec } = await cronJobOf(release, stepId)
        expect(spec).toMatchObject({ schedule: '* * * * *', suspend: false })

        const job = await tickOf(release, metadata.name)
        expect(endings(await completed(release, job))).toEqual([
          { name: 'outbox-relay', exitCode: 0, restarts: 0 },
          { name: 'cron-job', exitCode: 0, restarts: 0 },
        ])
        const runs = await api.runs(workflow)
        const run = runs.find(({ idempotencyKey }) => idempotencyKey === `job/${job}`) ?? expect.fail()
        expect(await api.runOver(run.id)).toMatchObject({
          status: 'succeeded',
          trigger: 'cron',
          steps: [
            { name: 'every morning', succeeded: 1 },
            { name: 'get leads', succeeded: 2 },
            { name: 'save lead', succeeded: 2 * leads },
          ],
        })
        const told = await toldOf(release, stepId)
        // There may have been another tick meanwhile.
        const begun = (await api.runs(workflow)).map(({ id }) => id)
        expect(told).toMatchObject({
          runsIn: 'kubernetes',
          actual: { state: 'applied', object: metadata.name },
          lastTick: { runId: expect.toBeOneOf(begun) },
        })
      } finally {
        // No tick from here on, so that those that came can be counted, and none comes into the tests after this one.
        await api.changeWorkflow(workflow, { ...document, enabled: false })
      }
      await cronJobOf(release, stepId, (cronJob) => cronJob.spec.suspend)
      const ticks = await api.runs(workflow)
      for (const { id } of ticks) expect(await api.runOver(id)).toMatchObject({ status: 'succeeded' })
      await services.allPublished()
      expect(await services.crm('select count(*)::int as rows from leads')).toEqual([{ rows: 2 * leads }])
      const counted = 'select count(*)::int as rows, count(distinct uuid)::int as leads from written'
      expect(await services.crm(counted)).toEqual([{ rows: ticks.length * 2 * leads, leads: 2 * leads }])
    })
  })
}
