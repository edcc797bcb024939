import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { startTestHouse, type TestHouse, waitFor } from '@esteira/test/support'
import { afterAll, beforeAll, expect, test } from 'vitest'
import * as z from 'zod'

let house: TestHouse

beforeAll(async () => {
  house = await startTestHouse({
    leads: 1,
    cron: 'off',
    crmSql: `
      create table leads (id int generated always as identity, email text);
      create table notes (text text)`,
  })
})
afterAll(() => house.stop())

const page = readFileSync(resolve(import.meta.dirname, '../../docs/functions/database-query.md'), 'utf8')

const documentSchema = z.looseObject({ name: z.string(), steps: z.array(z.looseObject({ name: z.string() })) })

const documents = [...page.matchAll(/^```json\n(.*?)^```$/gms)].map(([, text = '']) =>
  documentSchema.parse(JSON.parse(text)),
)

/** What each workflow of the page leaves in the two tables, with how many jobs at its steps. */
const expected: Record<string, { jobs: Record<string, number>; emails: string[]; notes: string[] }> = {
  'insert and end': { jobs: { start: 1, save: 1 }, emails: ['ana@example.com'], notes: [] },
  'insert and pass on': {
    jobs: { start: 1, save: 1, note: 1 },
    emails: ['bia@example.com'],
    notes: ['saved bia@example.com'],
  },
  'insert and pass its rows on': {
    jobs: { start: 1, save: 1, note: 2 },
    emails: ['caio@example.com', 'davi@example.com'],
    notes: ['number 1', 'number 2'],
  },
  'select row by row': {
    jobs: { start: 1, read: 1, note: 2 },
    emails: ['a@example.com', 'b@example.com', 'c@example.org'],
    notes: ['seen a@example.com', 'seen b@example.com'],
  },
  'select all at once': {
    jobs: { start: 1, read: 1, note: 1 },
    emails: ['a@example.com', 'b@example.com', 'c@example.org'],
    notes: ['3 leads'],
  },
  'insert without waiting': { jobs: { start: 1, count: 1 }, emails: [], notes: ['somebody was here'] },
}

const textRows = z.array(z.object({ text: z.string() }))

test('the page has these workflows', () => {
  expect(documents.map(({ name }) => name)).toEqual(Object.keys(expected))
})

test.each(documents)('the workflow "$name" of the page does what is said there', async (document) => {
  const leaves = expected[document.name]
  await house.crm('truncate leads restart identity; truncate notes')
  if (document.name.startsWith('select')) {
    await house.crm(`insert into leads (email) values ('a@example.com'), ('b@example.com'), ('c@example.org')`)
  }
  const { id } = await house.api.startRun(await house.api.createWorkflow(document))
  const run = await house.api.runOver(id)
  expect(run.status).toBe('succeeded')
  expect(Object.fromEntries(run.steps.map(({ name, succeeded }) => [name, succeeded]))).toEqual(leaves?.jobs)
  const texts = async (sql: string) => textRows.parse(await house.crm(sql)).map(({ text }) => text)
  expect(await texts('select email as text from leads order by 1')).toEqual(leaves?.emails)
  // One that is not waited for may come a moment later.
  await waitFor(async () => (await texts('select text from notes')).length === leaves?.notes.length)
  expect(await texts('select text from notes order by 1')).toEqual(leaves?.notes)
})
