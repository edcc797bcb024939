import { createRoles, waitFor } from '@esteira/test/support'
import { afterAll, beforeAll, expect, test } from 'vitest'
import * as z from 'zod'
import { type Engine, functionOf } from '../../../test/engine.ts'
import { useEngine } from '../../../test/use-engine.ts'

let engine: Engine
let roles: Awaited<ReturnType<typeof createRoles>>

// Before the engine's own, so that its database is gone when the roles are dropped.
afterAll(() => roles.drop())

useEngine((opened) => {
  engine = opened
})

beforeAll(async () => {
  await engine.query(slowLoadsSql)
  roles = await createRoles({ url: engine.databaseUrl })
  // Of the workers alone: the test may wait for longer.
  await engine.query(`alter role "${new URL(roles.urlFor('worker')).username}" set statement_timeout = 800`)
})

/** The statement that finds jobs takes longer than it may with one whose payload names a sequence, which counts the tries. */
const slowLoadsSql = `
  create sequence first_stuck;
  create sequence second_stuck;
  create table stuck (name text not null);
  create function is_found(payload jsonb) returns boolean language plpgsql security definer as $$
    begin
      if position('"leftBytes"' in current_query()) > 0 and exists (select from stuck where name = payload #>> '{}') then
        perform nextval(payload #>> '{}');
        perform pg_sleep(60);
      end if;
      return true;
    end $$;
  alter table workflow_job enable row level security;
  create policy everybody on workflow_job using (true);
  create policy found on workflow_job as restrictive using (is_found(payload))`

const triesOf = async (name: string): Promise<number> => {
  const rows = await engine.query(`select case when is_called then last_value::int else 0 end as tries from "${name}"`)
  return z.tuple([z.object({ tries: z.int() })]).parse(rows)[0].tries
}

test('while two jobs are looked for again and again, each given up alone, all others of the worker are found', async () => {
  const stuck = ['first_stuck', 'second_stuck']
  await engine.query('insert into stuck select unnest($1::text[])', [stuck])
  await engine.startWorker(
    [functionOf('stuck', ({ payload }) => payload), functionOf('other', ({ payload }) => payload)],
    { databaseUrl: roles.urlFor('worker') },
  )
  const begin = async (functionName: string, payload: string) =>
    engine.begin(await engine.saveWorkflow({ functionName, outputType: 'single' }), payload)
  const runs: string[] = []
  for (const name of stuck) {
    runs.push(await begin('stuck', name))
    // Each in a statement of its own.
    await waitFor(async () => (await triesOf(name)) > 0)
  }
  for (const functionName of ['stuck', 'other']) {
    expect(await engine.over(await begin(functionName, 'good'))).toBe('succeeded')
  }
  const tries = await Promise.all(stuck.map(triesOf))
  // Neither is forgotten behind the other.
  await waitFor(async () => (await Promise.all(stuck.map(triesOf))).every((now, place) => now > (tries[place] ?? 0)))
  await engine.query('truncate stuck')
  for (const run of runs) expect(await engine.over(run)).toBe('succeeded')
})
