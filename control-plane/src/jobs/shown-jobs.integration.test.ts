import { expect, test } from 'vitest'
import * as z from 'zod'
import { leadsSteps } from '../../test/open-api.ts'
import { api, useApi } from '../../test/use-api.ts'

useApi()

const idOf = (body: unknown): string => z.object({ id: z.string() }).parse(body).id
const listed = z.object({ items: z.array(z.object({ id: z.string(), status: z.string() })) })

/** A run with a job that gives its items in hidden pages, one of which is there. */
const hideItem = async () => {
  const workflow = idOf(
    (await api.send('POST', '/v1/workflows', { name: `w ${performance.now()}`, steps: leadsSteps.slice(1) })).body,
  )
  const run = idOf((await api.send('POST', `/v1/workflows/${workflow}/runs`)).body)
  const [{ id: hidden }] = z.tuple([z.object({ id: z.string() })]).parse(
    await api.query(
      `insert into workflow_job (id, run_id, step_id, parent_id, item_index, status, traceparent, enqueued_at)
       select gen_random_uuid(), run_id, step_id, id, 0, 'hidden', '', null from workflow_job where run_id = $1
       returning id`,
      [run],
    ),
  )
  return { run, hidden }
}

test.each([
  ['GET', ''],
  ['GET', '/attempts'],
  ['GET', '/explain'],
  ['POST', '/retry'],
  ['POST', '/cancel'],
])('a hidden job is not there: %s /v1/jobs/{id}%s', async (method, path) => {
  const { hidden } = await hideItem()
  expect(await api.send(method, `/v1/jobs/${hidden}${path}`)).toMatchObject({
    status: 404,
    body: { code: 'job_unknown' },
  })
})

test('no list has a hidden job, and nobody can ask for one by its status', async () => {
  const { run, hidden } = await hideItem()
  for (const filter of [`runId=${run}`, '', 'status=queued']) {
    const { items } = listed.parse((await api.send('GET', `/v1/jobs?${filter}`)).body)
    expect(items.length).toBeGreaterThan(0)
    expect(items).not.toContainEqual(expect.objectContaining({ id: hidden }))
  }
  expect(await api.send('GET', '/v1/jobs?status=hidden')).toMatchObject({ status: 400 })
})
