import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ownsNode } from '../index.ts'
import { imageValues } from '../support/images.ts'
import { expectEveryLeadOnce, strictLeads, strictTable, written } from '../support/leads.ts'
import { startLoad } from '../support/load.ts'
import { killIn, ofControlPlane, ofWorker, readyPod, startedAgain } from '../support/pods.ts'
import { installRelease, type TestRelease } from '../support/release.ts'
import { isMarkedAs, isOf, markedAs } from '../support/revisions.ts'
import { completed, cronJobOf, stepIdOf, tickByHand } from '../support/ticks.ts'
import { pauseOfKubectlMs, waitInCluster } from '../support/wait-in-cluster.ts'

const leads = 200
/**
 * Of each row: seven of ten sessions write 35 a second, so that there is work all the while, and CPU for the pods that
 * start.
 */
const rowMs = 200
/** As long as helm takes it: 53 characters, of which the names of objects keep the first. */
const name = 'a-release-whose-name-is-as-long-as-helm-will-have-it0'

describe.runIf(ownsNode())('a release', () => {
  let release: TestRelease
  let stepId: string
  beforeAll(async () => {
    release = await installRelease({ name, leads, crmSql: strictTable, values: markedAs('first') })
  }, 600_000)
  afterAll(() => release.remove())

  test('is upgraded under load, with kills by SIGKILL before and behind it, and every lead is in the table once', async () => {
    const workflow = await release.api.createWorkflow(strictLeads('under load', rowMs))
    stepId = stepIdOf(workflow)
    const load = startLoad(release, workflow)
    await load.begun(2)
    const pod = await readyPod(release, ofWorker('database-query'))
    const [first = expect.fail()] = load.runs()
    await waitInCluster(() => written(release, first), { deadlineMs: 60_000, describe: 'a lead that is written' })
    killIn(pod, 'worker')
    // Else it would have been a strike without work in hand.
    expect(await written(release, first)).toBeLessThan(leads)
    const upgraded = release.upgrade(markedAs('second'))
    const strikes = [
      [ofWorker('database-query'), 'worker'],
      [ofWorker('rd-station-get-leads'), 'outbox-relay'],
      [ofControlPlane, 'control-plane'],
    ] as const
    const struck = strikes.map(async ([selector, container]) =>
      killIn(await readyPod(release, selector, isMarkedAs('second')), container),
    )
    await Promise.all([upgraded, ...struck])
    await isOf(release, 'second', stepId)
    await load.stop()
    for (const runId of load.runs()) await expectEveryLeadOnce(release, runId, leads)
  })

  test('goes on ticking as before while an upgrade cannot roll out, also by a control plane that starts anew', async () => {
    const { api, namespace } = release
    const workflow = await api.createWorkflow(strictLeads('while it cannot roll out', 0))
    const { metadata } = await cronJobOf(release, stepIdOf(workflow))
    const pod = await readyPod(release, ofControlPlane)
    await release.beginUpgrade({ ...markedAs('third'), image: { ...imageValues(), tag: 'nowhere' } })
    killIn(pod, 'control-plane')
    // What it finds when it starts again is the template of the upgrade.
    await startedAgain(release, pod, 'control-plane')
    const log = () => namespace.kubectl(['logs', pod.metadata.name, '--container', 'control-plane'])
    await waitInCluster(async () => (await log()).includes('pod-template.awaited'), {
      deadlineMs: 60_000,
      pauseMs: pauseOfKubectlMs,
      describe: log,
    })
    await readyPod(release, ofControlPlane)
    await tickByHand(release, metadata.name, 'meanwhile')
    expect(isMarkedAs('second')(await completed(release, 'meanwhile'))).toBe(true)
    expect(await api.runs(workflow)).toMatchObject([{ idempotencyKey: 'job/meanwhile' }])
  })

  test('is taken back under load, its API answers all the while, and every lead is in the table once', async () => {
    const workflow = await release.api.createWorkflow(strictLeads('while it is taken back', rowMs))
    const load = startLoad(release, workflow)
    await load.begun(2)
    await release.rollback(1)
    await isOf(release, 'first', stepId)
    await load.stop()
    expect(load.faults()).toEqual([])
    for (const runId of load.runs()) await expectEveryLeadOnce(release, runId, leads)
  })

  test('leaves nothing in the cluster when it is removed, and goes on where it was when it is installed again', async () => {
    const { namespace, services } = release
    const workflow = await release.api.createWorkflow(strictLeads('removed', 300))
    const step = stepIdOf(workflow)
    const before = await cronJobOf(release, step)
    const { id } = await release.api.startRun(workflow)
    await waitInCluster(() => written(release, id), { deadlineMs: 60_000, describe: 'a lead' })
    await release.uninstall()
    // Those that Helm has not made go with what owns them.
    const kinds = 'deployments,replicasets,pods,jobs,cronjobs,services,networkpolicies,poddisruptionbudgets'
    await waitInCluster(async () => (await namespace.kubectl(['get', kinds, '--output', 'name'])) === '', {
      deadlineMs: 120_000,
      pauseMs: pauseOfKubectlMs,
      describe: () => namespace.kubectl(['get', kinds]),
    })
    const named = ['get', 'configmaps,roles,rolebindings,serviceaccounts', '--output', 'name']
    expect((await namespace.kubectl(named)).trim().split('\n').toSorted()).toEqual([
      'configmap/kube-root-ca.crt',
      'role.rbac.authorization.k8s.io/installer',
      'rolebinding.rbac.authorization.k8s.io/installer',
      'serviceaccount/default',
      'serviceaccount/installer',
    ])
    expect(await services.sql(`select status from workflow_run where id = '${id}'`)).toEqual([{ status: 'running' }])
    expect(await written(release, id)).toBeLessThan(leads)

    release = await release.reinstall()
    await expectEveryLeadOnce(release, id, leads)
    const after = await cronJobOf(release, step)
    expect(after.metadata.name).toBe(before.metadata.name)
    expect(after.metadata.uid).not.toBe(before.metadata.uid)
    await tickByHand(release, after.metadata.name, 'after-all')
    await completed(release, 'after-all')
    const runs = await release.api.runs(workflow)
    expect(runs.map(({ idempotencyKey }) => idempotencyKey)).toContain('job/after-all')
    expect(runs).toHaveLength(2)
  })
})
