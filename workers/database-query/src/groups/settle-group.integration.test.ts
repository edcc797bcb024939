import { randomUUID } from 'node:crypto'
import { runOn, waitFor } from '@esteira/test/support'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { aCall, settle } from '../../test/a-group.ts'
import { admin, call, connections, target, useTarget } from '../../test/use-target.ts'
import { createPace } from './pace.ts'

useTarget(
  `create table lead (
     id int unique, late int unique deferrable initially deferred, place int generated always as identity
   );
   create sequence runs`,
  {
    single: (address) => address.searchParams.set('esteira_pool', '1'),
    pooled: () => {},
    patient: (address) => address.searchParams.set('options', '-c deadlock_timeout=3s'),
  },
)

beforeEach(async () => {
  await admin.query(`alter sequence runs restart`)
})

const insert = 'insert into lead (id) values ($1) returning id'

const calls = (ids: readonly number[]) => ids.map((id) => aCall([id]))

/** What was written, in the order in which it was; `together` are the numbers of rows of each transaction. */
const written = async () => {
  const { rows } = await admin.query<{ id: number; xmin: string }>('select id, xmin::text from lead order by place')
  const together = Object.values(Object.groupBy(rows, ({ xmin }) => xmin)).map((some) => some?.length)
  return { ids: rows.map(({ id }) => id), together }
}

const violation = (constraint: string) => expect.objectContaining({ code: '23505', constraint })

test('the runs of a group are one transaction, in their order', async () => {
  const ids = [3, 1, 2, 5, 4]
  expect(await settle(insert, calls(ids))).toEqual(ids.map((id) => [{ id }]))
  expect(await written()).toEqual({ ids, together: [5] })
})

test.each([0, 4, 9])('of ten runs only the one that is refused fails, the one at %i', async (guilty) => {
  await admin.query('insert into lead (id) values (99)')
  const ids = Array.from({ length: 10 }, (_, id) => (id === guilty ? 99 : id))
  const outcomes = await settle(insert, calls(ids))
  expect(outcomes).toEqual(ids.map((id) => (id === 99 ? violation('lead_id_key') : [{ id }])))
  expect((await written()).ids).toEqual([99, ...ids.filter((id) => id !== 99)])
})

test('a group in which all are refused is tried about twice for each, and says of each why', async () => {
  const sql = `insert into lead (id) select $1 / 0 from nextval('runs')`
  const outcomes = await settle(sql, calls([1, 2, 3, 4, 5, 6, 7, 8]))
  expect(outcomes).toEqual(Array.from({ length: 8 }, () => expect.objectContaining({ code: '22012' })))
  const { rows } = await admin.query<{ runs: string }>(`select last_value as runs from runs`)
  expect(Number(rows[0]?.runs)).toBeLessThanOrEqual(16)
})

test('one that only the commit refuses is found by halves', async () => {
  const sql = 'insert into lead (id, late) values ($1, $2)'
  await admin.query('insert into lead (late) values (7)')
  const group = [1, 2, 3, 4, 5, 6].map((id) => aCall([id, id === 4 ? 7 : id * 10]))
  expect(await settle(sql, group)).toEqual([[], [], [], violation('lead_late_key'), [], []])
  expect((await written()).ids).toEqual([null, 1, 2, 3, 5, 6])
})

test('a job whose statement was applied before is not run again in a group, and passes the same on', async () => {
  const [again, ...others] = [aCall([1]), aCall([2]), aCall([3])]
  expect(await settle(insert, [again])).toEqual([[{ id: 1 }]])
  await admin.query('truncate lead')
  expect(await settle(insert, [again, ...others])).toEqual([[{ id: 1 }], [{ id: 2 }], [{ id: 3 }]])
  expect((await written()).ids).toEqual([2, 3])
})

test('a job that is in a group twice is run once, and both pass the same on', async () => {
  const jobId = randomUUID()
  const group = [aCall([1], { jobId }), aCall([2]), aCall([1], { jobId })]
  const sql = 'insert into lead (id) select nullif($1::int, 1) returning place - place + $1 as one'
  expect(await settle(sql, group)).toEqual([[{ one: 1 }], [{ one: 2 }], [{ one: 1 }]])
  expect((await written()).ids).toEqual([null, 2])
})

test('a run without rows that are wanted is told to all of its group, and nothing is written', async () => {
  const outcomes = await settle('insert into lead (id) values ($1)', calls([1, 2]), { rows: 'wanted' })
  expect(outcomes).toEqual([1, 2].map(() => expect.objectContaining({ code: 'config_invalid' })))
  expect((await written()).ids).toEqual([])
})

test('a run that is cancelled is cancelled in the server, and the others are written', async () => {
  const sql = 'insert into lead (id) select $1 from pg_sleep(case when $1 = 2 then 60 else 0 end)'
  const over = new AbortController()
  const group = [aCall([1]), aCall([2], { signal: over.signal }), aCall([3])]
  const settled = settle(sql, group, { limitMs: 60_000 })
  await waitFor(async () => (await sleepers()).length === 1)
  over.abort('out of time')
  expect(await settled).toEqual([[], 'out of time', []])
  expect(await sleepers()).toEqual([])
  expect((await written()).ids).toEqual([1, 3])
})

test('a run that is over before its group begins is left out', async () => {
  expect(await settle(insert, [aCall([1], { signal: AbortSignal.abort('over') }), aCall([2])])).toEqual([
    'over',
    [{ id: 2 }],
  ])
})

test('a statement that runs alone is cancelled in the server as well, one that reads too', async () => {
  for (const sql of ['select pg_sleep(60)', 'do $$ begin perform pg_sleep(60); end $$']) {
    const over = new AbortController()
    const cancelled = call({ sql }, { signal: over.signal }).catch((error: unknown) => error)
    await waitFor(async () => (await sleepers()).length === 1)
    over.abort(new Error('out of time'))
    expect(await cancelled).toMatchObject({ message: 'out of time' })
    expect(await sleepers()).toEqual([])
  }
})

test('a run that waits for a lock of somebody else holds up the others for as long as the limit', async () => {
  await admin.query('begin; insert into lead (id) values (2)')
  onTestFinished(rollBack)
  const [pace, group] = [createPace({ sessions: 10, mayMeet: true }), calls([1, 2, 3])]
  const settled = settle(insert, group, { pace, limitMs: 300 })
  await waitFor(async () => (await keptInLedger(group.map(({ jobId }) => jobId))) === 2)
  expect(pace.most()).toBe(1)
  await admin.query('rollback')
  expect(await settled).toEqual([[{ id: 1 }], [{ id: 2 }], [{ id: 3 }]])
})

test('a group whose session is long in coming waits for nobody’s lock, and stays together', async () => {
  const busy = await connections.pool('single').connect()
  const pace = createPace({ sessions: 1, mayMeet: true })
  const settled = settle(insert, calls([1, 2, 3]), { connection: 'single', pace, limitMs: 1_000 })
  const begunMs = performance.now()
  await waitFor(() => performance.now() - begunMs > 1_100)
  busy.release()
  expect(await settled).toEqual([[{ id: 1 }], [{ id: 2 }], [{ id: 3 }]])
  expect(await written()).toEqual({ ids: [1, 2, 3], together: [3] })
})

test('what a statement leaves for its commit is within the limit, and a cancel reaches it', async () => {
  await admin.query(
    `create function dawdle() returns trigger language plpgsql as $$ begin perform pg_sleep(60); return new; end $$;
     create constraint trigger dawdle after insert on lead deferrable initially deferred
       for each row when (new.id = 2) execute function dawdle()`,
  )
  onTestFinished(async () => {
    await admin.query('drop function dawdle cascade')
  })
  const over = new AbortController()
  const settled = settle(insert, [aCall([1]), aCall([2], { signal: over.signal }), aCall([3])], { limitMs: 60_000 })
  await waitFor(async () => (await sessions(`state = 'active' and wait_event = 'PgSleep'`)).length === 1)
  expect(await sessions(`query = 'commit' and state = 'active'`), 'not under the commit').toEqual([])
  over.abort(new Error('out of time'))
  expect(await settled).toEqual([[{ id: 1 }], expect.objectContaining({ message: 'out of time' }), [{ id: 3 }]])
  expect((await written()).ids).toEqual([1, 3])
})

test('a group that is the victim of a deadlock is written, each run alone then', async () => {
  await admin.query('insert into lead (id, late) values (1, 10), (2, 20)')
  await admin.query(`begin; set local deadlock_timeout = '60s'; update lead set late = late + 1 where id = 2`)
  onTestFinished(rollBack)
  const pace = createPace({ sessions: 10, mayMeet: true })
  const sql = 'update lead set late = late + 5 where id = $1'
  const settled = settle(sql, calls([1, 2]), { connection: 'patient', pace, limitMs: 60_000 })
  await waitFor(async () => (await waiters()).length === 1)
  // The group is the one that looks first whether anybody can go on.
  await admin.query('update lead set late = late + 1 where id = 1; commit')
  expect(await settled).toEqual([[], []])
  expect((await admin.query('select late from lead order by id')).rows).toEqual([{ late: 16 }, { late: 26 }])
  expect(pace.most()).toBe(1)
})

test('a run that ends its session fails alone, and the others are written', async () => {
  const sql = 'insert into lead (id) select $1 where $1 <> 2 or pg_terminate_backend(pg_backend_pid())'
  expect(await settle(sql, calls([1, 2, 3]))).toEqual([[], expect.objectContaining({ code: 'session_lost' }), []])
  expect((await written()).ids).toEqual([1, 3])
})

test.each([
  ['a lock', 'perform pg_advisory_lock(4242)'],
  ['a setting', `perform set_config('search_path', 'pg_catalog', true)`],
  ['a time zone', `set local timezone = 'Asia/Tokyo'`],
  ['the role', 'set local role pg_monitor'],
  ['a temporary table', 'create temporary table if not exists mine (id int)'],
])('%s that a trigger leaves in the session does not meet the next run', async (_, body) => {
  await admin.query(
    `create function leave() returns trigger language plpgsql as $$ begin ${body}; return new; end $$;
     create trigger leave after insert on lead for each row execute function leave();
     grant insert, select on lead to pg_monitor`,
  )
  onTestFinished(async () => {
    await admin.query('drop function leave cascade')
  })
  const pace = createPace({ sessions: 10, mayMeet: true })
  expect(await settle('insert into public.lead (id) values ($1)', calls([1, 2]), { pace })).toEqual([[], []])
  expect(await written()).toEqual({ ids: [1, 2], together: [1, 1] })
  expect(pace.most()).toBe(1)
})

test('what a pooler sets for its client is not taken for what a run has left', async () => {
  // As PgBouncer does, in whichever session it gives a client.
  connections
    .pool('pooled')
    .on('acquire', (client) => void client.query(`set timezone = 'Asia/Tokyo'; set application_name = 'x'`))
  expect(await settle(insert, calls([1, 2]), { connection: 'pooled' })).toEqual([[{ id: 1 }], [{ id: 2 }]])
  expect(await written()).toEqual({ ids: [1, 2], together: [2] })
})

const rollBack = async () => {
  await admin.query('rollback')
}

/** Asked in a session of its own: within a transaction what is new is not seen. */
const sessions = (where: string) =>
  runOn(
    target.url,
    `select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and ${where}`,
  )

const sleepers = () => sessions(`state = 'active' and query like '%pg_sleep(%'`)

const waiters = () => sessions(`wait_event_type = 'Lock'`)

const keptInLedger = async (jobIds: readonly string[]) =>
  (await admin.query('select from esteira_applied where job_id = any ($1::uuid[])', [jobIds])).rowCount
