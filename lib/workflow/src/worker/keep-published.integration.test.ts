import { countStatements, waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import * as z from 'zod'
import { type Engine } from '../../test/engine.ts'
import { holdLocked } from '../../test/hold-locked.ts'
import { useEngine } from '../../test/use-engine.ts'
import { defineFunction } from '../index.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

/** A release of a function, told by the setting that it takes. */
const release = (name: string, setting: string) =>
  defineFunction({ name, config: z.strictObject({ [setting]: z.string() }), run: () => null })

const published = async (name: string) => {
  const rows = await engine.query(
    `select updated_at::text as at, jsonb_path_query_array(config_schema, '$.properties.keyvalue().key') as settings
     from workflow_function where name = $1`,
    [name],
  )
  return z.array(z.object({ at: z.string(), settings: z.array(z.string()) })).parse(rows)[0]
}

test('when an older pod that started last has gone, what the newer one is is published', async () => {
  await engine.startWorker([release('rolled', 'new')], { publishMs: 100 })
  const older = await engine.startWorker([release('rolled', 'old')])
  await older.stop()
  await waitFor(async () => (await published('rolled'))?.settings[0] === 'new', { describe: () => published('rolled') })
})

test('what is published already is not written again', async () => {
  const said = countStatements('workflow_function')
  await engine.startWorker([release('same', 'new')], { publishMs: 50 })
  const before = await published('same')
  await waitFor(() => said() >= 4)
  expect(await published('same')).toEqual(before)
})

test('nor waited for where somebody has its row', async () => {
  await engine.startWorker([release('held', 'new')])
  const held = await holdLocked(engine, `select from workflow_function where name = 'held' for update`)
  const again = await engine.startWorker([release('held', 'new')])
  await again.stop()
  await held.release()
})

test('a time that fails is told, and the next one publishes', async () => {
  const worker = await engine.startWorker([release('failing', 'new')], { publishMs: 100 })
  const back = () => engine.query('alter table if exists workflow_function_away rename to workflow_function')
  onTestFinished(async () => {
    await back()
  })
  await engine.query('alter table workflow_function rename to workflow_function_away')
  await waitFor(() => worker.saw('publish.failed').length > 0)
  await back()
  await engine.query(`delete from workflow_function where name = 'failing'`)
  await waitFor(async () => (await published('failing')) !== undefined)
})
