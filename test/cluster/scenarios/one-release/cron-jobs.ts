import type { ApiWorkflow } from '@esteira/dev/house'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { expectEveryLeadOnce, strictLeads } from '../../support/leads.ts'
import { type CronJob, endings } from '../../support/objects.ts'
import { ofControlPlane } from '../../support/pods.ts'
import type { TestRelease } from '../../support/release.ts'
import { completed, cronJobOf, stepIdOf, tickByHand, tickOf } from '../../support/ticks.ts'
import { waitInCluster } from '../../support/wait-in-cluster.ts'

const leads = 20

const eventShape = z.looseObject({ event: z.string() })

/** What becomes of the CronJob of a step, on a release with the strict table. */
export const cronJobs = (of: () => TestRelease): void => {
  describe('the CronJob of a step', () => {
    let release: TestRelease
    /** It ticks once, while other tests run. */
    let ticking: Saved
    beforeAll(async () => {
      release = of()
      release.services.rdStation.control.set({ leads })
      // The minute that begins in 20 to 80 s: a CronJob that comes after its minute would pass it over.
      const at = new Date(Date.now() + 80_000)
      const schedule = `${at.getUTCMinutes()} ${at.getUTCHours()} * * *`
      ticking = await saved('once', { schedule, timeZone: 'UTC', startingDeadlineSeconds: 3_600 })
    })

    type Saved = { workflow: ApiWorkflow; stepId: string; cronJob: CronJob }
    const saved = async (name: string, config: object = {}): Promise<Saved> => {
      const document = strictLeads(name, 0)
      const [tick, ...others] = document.steps
      const steps = [{ ...tick, config: { ...tick.config, ...config } }, ...others]
      const workflow = await release.api.createWorkflow({ ...document, steps })
      const stepId = stepIdOf(workflow)
      return { workflow, stepId, cronJob: await cronJobOf(release, stepId) }
    }

    /** What a program has told of an event, line by line. */
    const told = async (words: readonly string[], event: string) =>
      (await release.namespace.kubectl(['logs', ...words, '--tail', '-1']))
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => eventShape.parse(JSON.parse(line)))
        .filter((line) => line.event === event)

    /** Waits for a Job to be complete, whose tick has told of an event once, and deletes it with its pod. */
    const endsWith = async (job: string, event: string): Promise<void> => {
      const pod = await completed(release, job)
      expect(endings(pod).map(({ exitCode }) => exitCode)).toEqual([0, 0])
      expect(await told([pod.metadata.name, '--container', 'cron-job'], event)).toHaveLength(1)
      await release.namespace.kubectl(['delete', 'job', job, '--cascade=foreground', '--timeout', '60s'])
    }

    /** A workflow has one run alone, under the key of a Job. */
    const hasRunOnceBy = async ({ workflow }: Saved, job: string): Promise<void> => {
      const [run = expect.fail(), ...others] = await release.api.runs(workflow)
      expect(others).toEqual([])
      expect(run.idempotencyKey).toBe(`job/${job}`)
      await expectEveryLeadOnce(release, run.id, leads)
    }

    test('is taken back when somebody changes it, which is told once', async () => {
      const { stepId, cronJob } = await saved('changed by hand')
      const { name, uid } = cronJob.metadata
      const words = ['--selector', ofControlPlane, '--container', 'control-plane']
      const allDrifts = () => told(words, 'cron-jobs.drifted')
      const before = (await allDrifts()).length
      const drifts = async () => (await allDrifts()).slice(before)
      const patch = JSON.stringify({ spec: { schedule: '*/5 * * * *', suspend: true } })
      await release.namespace.kubectl(['patch', 'cronjob', name, '--type', 'merge', '--patch', patch])
      const again = await cronJobOf(release, stepId, ({ spec }) => spec.schedule !== '*/5 * * * *')
      expect(again.spec).toEqual(cronJob.spec)
      expect(again.metadata.uid).toBe(uid)
      await waitInCluster(async () => (await drifts()).length, { describe: 'a line of log' })
      // Nor in the turns after it.
      await saved('next turn')
      expect(await drifts()).toMatchObject([{ count: 1, objects: [name] }])
    })

    test('is made again when somebody deletes it, and ticks as before', async () => {
      const { workflow, stepId, cronJob } = await saved('deleted by hand')
      const { name, uid } = cronJob.metadata
      await release.namespace.kubectl(['delete', 'cronjob', name])
      const again = await cronJobOf(release, stepId, ({ metadata }) => metadata.uid !== uid)
      expect(again).toMatchObject({ metadata: { name }, spec: cronJob.spec })
      await tickByHand(release, name, 'of-the-second')
      await completed(release, 'of-the-second')
      const [run = expect.fail(), ...others] = await release.api.runs(workflow)
      expect(others).toEqual([])
      await expectEveryLeadOnce(release, run.id, leads)
    })

    test('stays the same when its workflow and its step have other names, and goes with the workflow', async () => {
      const { workflow, stepId, cronJob } = await saved('named')
      const { metadata } = cronJob
      const document = strictLeads('named otherwise', 0)
      const [tick, ...others] = document.steps
      const steps = [{ ...tick, id: stepId, name: 'each year' }, ...others]
      const renamed = await release.api.changeWorkflow(workflow, { ...document, steps })
      const isNamed = ({ metadata: { annotations } }: CronJob) => annotations['esteira.dev/step-name'] === 'each year'
      const now = await cronJobOf(release, stepId, isNamed)
      expect([now.metadata.name, now.metadata.uid]).toEqual([metadata.name, metadata.uid])
      await release.api.deleteWorkflow(renamed)
      const left = ['get', 'cronjobs', '--selector', `esteira.dev/step=${stepId}`, '--output', 'name']
      await waitInCluster(async () => (await release.namespace.kubectl(left)) === '', {
        deadlineMs: 30_000,
        describe: () => release.namespace.kubectl(['get', 'cronjobs', '--output', 'yaml']),
      })
    })

    test('begins one run by two Jobs of one name', async () => {
      const twice = await saved('twice')
      const job = 'the-same-tick'
      for (const event of ['tick.fired', 'tick.seen']) {
        await tickByHand(release, twice.cronJob.metadata.name, job)
        await endsWith(job, event)
      }
      await hasRunOnceBy(twice, job)
    })

    test('passes over a tick with `overlap: skip` while a run is open, and no other one', async () => {
      const { api, services } = release
      const { workflow, cronJob } = await saved('long', { overlap: 'skip' })
      const tickAs = async (job: string) => {
        await tickByHand(release, cronJob.metadata.name, job)
        expect(endings(await completed(release, job)).map(({ exitCode }) => exitCode)).toEqual([0, 0])
        const runs = await api.runs(workflow)
        return runs.find(({ idempotencyKey }) => idempotencyKey === `job/${job}`) ?? expect.fail()
      }
      onTestFinished(() => services.ways.rdStation.resume())
      services.ways.rdStation.pause()
      const first = await tickAs('opens')
      expect(first.status).toBe('running')
      expect((await tickAs('is-passed-over')).status).toBe('skipped')
      services.ways.rdStation.resume()
      await expectEveryLeadOnce(release, first.id, leads)
      const last = await tickAs('opens-again')
      await expectEveryLeadOnce(release, last.id, leads)
      expect(await api.runs(workflow)).toHaveLength(3)
    })

    test('begins one run by two Jobs that Kubernetes makes for one time', async () => {
      const { name, uid } = ticking.cronJob.metadata
      const first = await tickOf(release, name)
      await endsWith(first, 'tick.fired')
      // As a controller does not know of it that was away before it could write down that the time was dealt with.
      const before = new Date(Date.now() - 1_800_000).toISOString().replace(/\.\d+/, '')
      const status = JSON.stringify({ status: { lastScheduleTime: before } })
      await release.namespace.kubectl([
        'patch',
        'cronjob',
        name,
        '--subresource',
        'status',
        '--type',
        'merge',
        '-p',
        status,
      ])
      const second = await tickOf(release, name)
      expect(second).toBe(first)
      await endsWith(second, 'tick.seen')
      await hasRunOnceBy(ticking, first)
      expect((await cronJobOf(release, ticking.stepId)).metadata.uid).toBe(uid)
    })
  })
}
