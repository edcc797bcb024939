import { expect, test } from 'vitest'
import { emails, insert, leadTable } from '../../test/insert-lead.ts'
import { admin, call, useTarget } from '../../test/use-target.ts'

useTarget(leadTable, {})

/** How many rows of the leads the largest transaction has written. */
const mostTogether = async () => {
  const { rows } = await admin.query<{ together: number }>(
    `select coalesce(max(together), 0)::int as together from (select count(*) as together from lead group by xmin) lead`,
  )
  return rows[0]?.together ?? 0
}

const range = (length: number) => Array.from({ length }, (_, index) => index)

/** Of one database each time, so that the pace is known after some. */
const untilTogether = async (callAll: () => Promise<unknown>) => {
  await expect
    .poll(
      async () => {
        await admin.query('truncate lead')
        await callAll()
        return mostTogether()
      },
      { timeout: 30_000 },
    )
    .toBeGreaterThan(1)
}

test('inserts of jobs that come together share transactions, and each has its own rows', async () => {
  await untilTogether(async () => {
    const all = await Promise.all(range(100).map((id) => call(insert(id))))
    expect(all).toEqual(range(100).map((id) => [{ id }]))
  })
  expect(await emails()).toHaveLength(100)
})

test('so do those that begin with a comment or a query, or write the name of a function as data', async () => {
  const sql = `-- as they come
    with given as (select $1::int as id) insert into lead select id, $2 || 'pg_notify' from given returning id`
  await untilTogether(async () => {
    const all = await Promise.all(range(100).map((id) => call({ sql, params: [id, `${id}`] })))
    expect(all).toEqual(range(100).map((id) => [{ id }]))
  })
})

test('of jobs that share a transaction only the one that violates a constraint fails, named and without the value', async () => {
  await untilTogether(async () => {
    await admin.query(`insert into lead values (1000, 'taken@example.com')`)
    const all = range(50).map((id) => call(insert(id, id === 25 ? 'taken@example.com' : undefined)))
    const ended = await Promise.allSettled(all)
    const refused = ended.filter((one) => one.status === 'rejected')
    expect(refused).toEqual([ended[25]])
    expect(refused[0]?.reason).toMatchObject({ code: 'statement_refused', final: true })
    expect(String(refused[0]?.reason)).toContain('"lead_email_key"')
    expect(String(refused[0]?.reason)).not.toContain('taken@')
  })
  expect(await emails()).toHaveLength(50)
})

test('jobs that wait for the disk never share a transaction with jobs that do not', async () => {
  const sql = `insert into lead values ($1, $2 || current_setting('synchronous_commit')) returning email`
  await untilTogether(async () => {
    const all = range(40).map((id) =>
      call({ sql, params: [id, `${id}`], confirm: id % 2 === 0 ? 'durable' : 'applied' }),
    )
    expect(await Promise.all(all)).toEqual(range(40).map((id) => [{ email: `${id}${id % 2 === 0 ? 'on' : 'off'}` }]))
  })
})

test('a statement that sets something for its session never shares a transaction', async () => {
  const sql = `insert into lead values ($1, set_config('app.lead', $2, true))`
  for (const _ of range(3)) {
    await admin.query('truncate lead')
    await Promise.all(range(20).map((id) => call({ sql, params: [id, `${id}`] })))
    expect(await mostTogether()).toBe(1)
  }
})
