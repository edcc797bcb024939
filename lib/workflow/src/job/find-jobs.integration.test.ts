import { expect, test } from 'vitest'
import type { Engine } from '../../test/engine.ts'
import { useEngine } from '../../test/use-engine.ts'
import { bytesInMemory } from '../payload/bytes-in-memory.ts'
import { findJobs, leftBytesOf } from './find-jobs.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

const million = 1_000_000

test.each([
  ['Latin text', 'a'.repeat(million)],
  ['Latin text with one word in Chinese', `${'a'.repeat(million)}中文`],
  ['Cyrillic text', 'я'.repeat(million / 2)],
  ['Chinese text', '中'.repeat(million / 3)],
])('of a payload that is left in the database it is known what it takes in memory: %s', async (_, payload) => {
  const workflow = await engine.saveWorkflow({ functionName: 'found', outputType: null })
  const [job] = await engine.jobs(await engine.begin(workflow, payload))
  const id = job?.id ?? ''
  const found = (await findJobs(engine.em(), [id])).get(id)
  const json = JSON.stringify(payload)
  expect(leftBytesOf(found?.payload)).toBe(bytesInMemory(json, Buffer.byteLength(json)))
  await engine.query('truncate workflow_run, workflow_waiting, outbox_message cascade')
})

test('a payload with very many commas keeps no other from being found', async () => {
  const workflow = await engine.saveWorkflow(
    { functionName: 'CronJob', outputType: 'multiple' },
    { functionName: 'found', outputType: null },
  )
  const [, many, plain] = await engine.jobs(await engine.begin(workflow, ['many', 'plain']))
  const [manyId, plainId] = [many?.id ?? '', plain?.id ?? '']
  const commas = 54_000_000
  await engine.query(`update workflow_job set payload = to_jsonb(repeat(',', $2)) where id = $1`, [manyId, commas])
  const found = await findJobs(engine.em(), [manyId, plainId])
  expect(found.get(plainId)?.payload).toBe('plain')
  expect(leftBytesOf(found.get(manyId)?.payload)).toBeGreaterThan(2 ** 31)
  await engine.query('truncate workflow_run, workflow_waiting, outbox_message cascade')
}, 60_000)
