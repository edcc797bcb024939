import { expect, test } from 'vitest'
import * as z from 'zod'
import { leadsSteps } from '../../test/open-api.ts'
import { api, useApi } from '../../test/use-api.ts'

useApi()

const ids = z.object({ items: z.tuple([z.object({ id: z.string(), status: z.string() })]) })
const attemptPage = z.object({
  items: z.array(z.object({ attempt: z.int(), outcome: z.string() })),
  nextCursor: z.string().nullable(),
})

/** The first job of a run that is begun with a payload, or with the step's own. */
const jobOf = async (name: string, body: object) => {
  const { id } = z
    .object({ id: z.string() })
    .parse((await api.send('POST', '/v1/workflows', { name, steps: leadsSteps })).body)
  const run = z.object({ id: z.string() }).parse((await api.send('POST', `/v1/workflows/${id}/runs`, body)).body)
  const { items } = ids.parse((await api.send('GET', `/v1/jobs?runId=${run.id}&limit=1`)).body)
  return items[0]
}

test('of a job that failed at once the one attempt is there, with why, when and where', async () => {
  const job = await jobOf('fails', { payload: 'no list' })
  expect(job.status).toBe('failed')
  expect((await api.send('GET', `/v1/jobs/${job.id}/attempts`)).body).toEqual({
    items: [
      {
        attempt: 1,
        outcome: 'failed',
        times: 1,
        error: { code: 'output_invalid', message: expect.stringContaining('must be an array') },
        worker: 'control-plane',
        startedAt: expect.stringMatching(/^20.*Z$/),
        endedAt: expect.stringMatching(/^20.*Z$/),
      },
    ],
    nextCursor: null,
  })
})

test('attempts are listed the newest first, page by page, and those of another job are not among them', async () => {
  const [job, other] = [await jobOf('pages', {}), await jobOf('others', {})]
  await api.query(
    `insert into workflow_attempt (job_id, seq, attempt, outcome, lost, worker, started_at, ended_at)
     select job_id, seq, seq, case when lost then 'lost' else 'retried' end, lost, 'worker', now(), now()
     from unnest($1::uuid[]) job_id, generate_series(1, 11) seq, unnest(array[false, true]) lost
     where not lost or seq % 2 = 1`,
    [[job.id, other.id]],
  )
  const seen: string[] = []
  let cursor = ''
  do {
    const answer = await api.send('GET', `/v1/jobs/${job.id}/attempts?limit=4${cursor}`)
    const { items, nextCursor } = attemptPage.parse(answer.body)
    seen.push(...items.map(({ attempt, outcome }) => `${attempt} ${outcome}`))
    cursor = nextCursor === null ? '' : `&cursor=${nextCursor}`
  } while (cursor !== '')
  const expected = Array.from({ length: 11 }, (_, index) => 11 - index).flatMap((attempt) =>
    attempt % 2 === 1 ? [`${attempt} retried`, `${attempt} lost`] : [`${attempt} retried`],
  )
  expect(seen).toEqual(expected)
})

test('a job that nobody tried has none, one that is not there is not found, and a strange cursor is refused', async () => {
  const job = await jobOf('untried', {})
  expect((await api.send('GET', `/v1/jobs/${job.id}/attempts`)).body).toEqual({ items: [], nextCursor: null })
  for (const nobody of ['019a0000-0000-7000-8000-000000000000', 'nobody']) {
    expect(await api.send('GET', `/v1/jobs/${nobody}/attempts`)).toMatchObject({
      status: 404,
      body: { code: 'job_unknown' },
    })
  }
  const strange = Buffer.from('attempts:1e3').toString('base64url')
  expect(await api.send('GET', `/v1/jobs/${job.id}/attempts?cursor=${strange}`)).toMatchObject({
    status: 400,
    body: { code: 'cursor_invalid' },
  })
})
