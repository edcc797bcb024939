import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { importImage, ownsNode } from '../index.ts'
import { meansOfRun } from '../setup/means.ts'
import { expectEveryLeadOnce, strictLeads, strictTable } from '../support/leads.ts'
import { startLoad } from '../support/load.ts'
import { installRelease, type TestRelease } from '../support/release.ts'
import { isOf, markedAs } from '../support/revisions.ts'
import { stepIdOf } from '../support/ticks.ts'
import { type ReleaseBefore, releaseBefore } from '../tools/release-before.ts'

const leads = 200
/** Of each row: ten sessions write 50 a second, so that there is work all the while, and CPU for the pods that start. */
const rowMs = 200

describe.runIf(ownsNode())('a release of the chart and the images before', () => {
  let before: ReleaseBefore
  let release: TestRelease
  let stepId: string
  beforeAll(async () => {
    before = await releaseBefore(meansOfRun())
    for (const archive of before.archives) await importImage(archive)
    release = await installRelease({ leads, crmSql: strictTable, values: markedAs('before'), first: before })
  }, 1_800_000)
  afterAll(() => release.remove())

  /** Whether the database has the migration that came after. */
  const isMigrated = async (): Promise<boolean> =>
    (await release.services.sql(`select from schema_migration where name = '${before.lacks}'`)).length === 1

  test('is upgraded under load to this tree, which migrates it, and every lead is in the table once', async () => {
    const workflow = await release.api.createWorkflow(strictLeads('under load', rowMs))
    stepId = stepIdOf(workflow)
    expect(await isMigrated()).toBe(false)
    const load = startLoad(release, workflow)
    await load.begun(2)
    await release.upgrade(markedAs('now'))
    await isOf(release, 'now', stepId)
    expect(await isMigrated()).toBe(true)
    await load.stop()
    for (const runId of load.runs()) await expectEveryLeadOnce(release, runId, leads)
  })

  test('is taken back under load, what is migrated stays, and every lead is in the table once', async () => {
    const workflow = await release.api.createWorkflow(strictLeads('while it is taken back', rowMs))
    const load = startLoad(release, workflow)
    await load.begun(2)
    await release.rollback(1)
    await isOf(release, 'before', stepId)
    expect(await isMigrated()).toBe(true)
    await load.stop()
    for (const runId of load.runs()) await expectEveryLeadOnce(release, runId, leads)
  })
})
