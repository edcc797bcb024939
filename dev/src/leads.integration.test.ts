import { emptyDatabase, type TestDatabase } from '@esteira/test/support'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { leadsTableSql, leadsWorkflow } from './example/leads-workflow.ts'
import { queryOnce } from './house/query-once.ts'
import { countLeadsOf } from './leads.ts'

const olderRun = '019a0000-0000-7000-8000-000000000001'
const newerRun = '019a0000-0000-7000-8000-000000000002'
const leads = ['ada', 'bia', 'caio'].map((name, index) => ({
  uuid: `00000000-0000-4000-8000-00000000000${index}`,
  name,
}))

let crm: TestDatabase
beforeEach(async () => {
  crm = await emptyDatabase()
  await queryOnce(crm.url, leadsTableSql)
})
afterEach(() => crm.drop())

/** What the example's last step does with each lead of a run. */
const save = async (run: string, ...saved: typeof leads): Promise<void> => {
  for (const { uuid, name } of saved)
    await queryOnce(crm.url, leadsWorkflow.steps[2].config.sql, [uuid, name, null, null, run])
}

test('the leads of a run are those that it saved, and no others that were saved meanwhile', async () => {
  await save(newerRun, ...leads.slice(0, 2))
  await save(olderRun, ...leads)
  expect(await countLeadsOf(crm.url, newerRun)).toBe(2)
  expect(await countLeadsOf(crm.url, olderRun)).toBe(1)
})

test('a lead that an older run has saved is a lead of the run that saves it again', async () => {
  await save(olderRun, ...leads)
  await save(newerRun, ...leads)
  expect(await countLeadsOf(crm.url, newerRun)).toBe(3)
})
