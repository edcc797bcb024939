import { expect, test } from 'vitest'
import { call, useTarget } from '../test/use-target.ts'

useTarget(
  `create domain age as int constraint grown check (value >= 18);
   create table lead (
     id int primary key,
     email text not null constraint has_at check (email like '%@%'),
     boss int constraint its_boss references lead,
     age age,
     during int4range, exclude using gist (during with &&)
   );
   create function forbid() returns trigger language plpgsql as $$
     begin raise exception 'the lead % is forbidden', new.email using errcode = 'check_violation'; end $$;
   create trigger forbid before insert on lead for each row when (new.id = 13) execute function forbid()`,
  {},
)

const sql = 'insert into lead (id, email, boss, age, during) values ($1, $2, $3, $4, $5)'
const known = [1, 'known@example.com', null, 30, '[1,5)']

test.each([
  [
    'unique',
    [1, 'a@secret', null, null, null],
    'unique constraint "lead_pkey" of table "public.lead" is violated (SQLSTATE 23505)',
  ],
  [
    'foreign key',
    [2, 'a@secret', 99, null, null],
    'foreign key constraint "its_boss" of table "public.lead" is violated (SQLSTATE 23503)',
  ],
  [
    'check',
    [2, 'secret', null, null, null],
    'check constraint "has_at" of table "public.lead" is violated (SQLSTATE 23514)',
  ],
  [
    'check of a type',
    [2, 'a@secret', null, 7, null],
    'check constraint "grown" of type "public.age" is violated (SQLSTATE 23514)',
  ],
  [
    'exclusion',
    [2, 'a@secret', null, null, '[4,9)'],
    'exclusion constraint "lead_during_excl" of table "public.lead" is violated (SQLSTATE 23P01)',
  ],
  ['not null', [2, null, null, null, null], 'column "email" of table "public.lead" takes no null (SQLSTATE 23502)'],
  ['one that a function raises', [13, 'a@secret', null, null, null], 'check constraint is violated (SQLSTATE 23514)'],
])('a violated constraint is final, named with its table, and without values: %s', async (_, params, message) => {
  await call({ sql, params: known })
  const failure = await call({ sql, params }).catch((error: unknown) => error)
  expect(failure).toMatchObject({
    code: 'statement_refused',
    final: true,
    message: expect.stringMatching(/^config\.(sql|params\[3\]): /),
  })
  expect(String(failure)).toContain(`: ${message}`)
  expect(String(failure)).not.toContain('secret')
})
