import { expect, test } from 'vitest'
import * as z from 'zod'
import { leadsSteps } from '../../test/open-api.ts'
import { api, useApi } from '../../test/use-api.ts'

useApi()

const idOf = (body: unknown): string => z.object({ id: z.string() }).parse(body).id

/** The job of a run that is begun, whose message is in the outbox. */
const beginJob = async () => {
  const saved = await api.send('POST', '/v1/workflows', { name: `w ${performance.now()}`, steps: leadsSteps.slice(1) })
  const run = idOf((await api.send('POST', `/v1/workflows/${idOf(saved.body)}/runs`)).body)
  const { items } = z
    .object({ items: z.tuple([z.object({ id: z.string() })]) })
    .parse((await api.send('GET', `/v1/jobs?runId=${run}`)).body)
  const [{ id }] = items
  return {
    id,
    /** Changes something in the database, `$1` being the job, and asks then. */
    after: async (sql: string): Promise<unknown> => {
      await api.query(sql, [id])
      const answer = await api.send('GET', `/v1/jobs/${id}/explain`)
      expect(answer.status).toBe(200)
      return answer.body
    },
  }
}

const ofJob = `payload ->> 'jobId' = $1::text`

/** Moves the job's message out of the outbox, into a table that has these columns besides. */
const moved = (table: string, columns: string, values: string): string =>
  `with taken as (delete from outbox_message where ${ofJob} returning *)
   insert into ${table} (lane, message_id, exchange, routing_key, headers, payload, created_at, ${columns})
   select lane, message_id, exchange, routing_key, headers, payload, created_at, ${values} from taken`

const since = expect.stringMatching(/^20.*Z$/)

test('what a job waits for is told from where its message is', async () => {
  const job = await beginJob()
  expect(await job.after('select $1::uuid')).toEqual({
    status: 'queued',
    code: 'waits_for_relay',
    text: expect.stringContaining('lane control-plane'),
    since,
  })
  expect(await job.after(`delete from outbox_message where ${ofJob}`)).toMatchObject({
    code: 'in_queue',
    text: expect.stringContaining('RdStation.getLeads'),
  })
  const note = `insert into workflow_probed_job select 'RdStation.getLeads', id, seq from workflow_job where id = $1`
  await api.query(`insert into workflow_probe (function_name, id) values ('RdStation.getLeads', gen_random_uuid())`)
  expect(await job.after(note)).toMatchObject({ code: 'looked_for', text: expect.stringContaining('probe 1 of 2') })
  // It was noted under a message that is not the one that counts any more.
  const sentAgain = `update workflow_job set seq = seq + 1 where id = $1`
  expect(await job.after(sentAgain)).toMatchObject({ status: 'queued', code: 'in_queue' })
})

test('a job that is put off, and one whose message is parked, are told from each other', async () => {
  const later = await beginJob()
  await api.query(`update workflow_job set run_after = now() + interval '1 hour' where id = $1`, [later.id])
  expect(await later.after(moved('outbox_scheduled', 'available_at', `now() + interval '1 hour'`))).toMatchObject({
    code: 'waits_for_its_time',
    text: expect.stringMatching(/at 20.*Z/),
    since,
  })
  const parked = await beginJob()
  expect(
    await parked.after(moved('outbox_parked', 'id, reason, attempts', `id, 'the queue is full', 10`)),
  ).toMatchObject({ code: 'parked', text: expect.stringContaining('the queue is full'), since })
})

test('a job behind its window is told how many are before it, and one at work by whom it is done', async () => {
  const job = await beginJob()
  const staged = `
    with staged as (
      update workflow_job set status = 'staged', enqueued_at = null where id = $1 returning run_id, step_id, id
    ), counted as (
      update workflow_run_step counted set belt = 0, staged = 1 from staged
      where counted.run_id = staged.run_id and counted.step_id = staged.step_id
    )
    insert into workflow_waiting
    select run_id, step_id, id from staged union all
    select run_id, step_id, '00000000-0000-0000-0000-000000000001' from staged`
  expect(await job.after(staged)).toMatchObject({
    status: 'staged',
    code: 'waits_for_room',
    text: expect.stringMatching(/0 jobs are on the belt, and 1 job is before it/),
  })
  const running = (beat: string) =>
    `update workflow_job set status = 'running', worker = 'pod-1', started_at = now(), beat_at = ${beat} where id = $1`
  expect(await job.after(running('now()'))).toMatchObject({
    status: 'running',
    code: 'running',
    text: expect.stringContaining('pod-1'),
    since,
  })
  expect(await job.after(running(`now() - interval '2 minutes'`))).toMatchObject({
    code: 'worker_silent',
    text: expect.stringMatching(/ 12\d s/),
  })
  expect(
    await job.after(`update workflow_job set status = 'failed', error = '{"code":"x","message":"no such account"}',
                       finished_at = now() where id = $1`),
  ).toMatchObject({ status: 'failed', code: 'failed', text: expect.stringContaining('no such account'), since })
})

test('a job that is not there is not explained', async () => {
  for (const id of ['019a0000-0000-7000-8000-000000000000', 'nobody']) {
    expect(await api.send('GET', `/v1/jobs/${id}/explain`)).toMatchObject({
      status: 404,
      body: { code: 'job_unknown' },
    })
  }
})
