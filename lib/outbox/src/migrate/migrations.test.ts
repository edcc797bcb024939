import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { migrations, readMigrations } from './migrations.ts'

test('files that are no SQL are no migrations', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'migrations-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  for (const file of ['0002_b.sql', '0001_a.sql', '.0001_a.sql.swp', '.DS_Store']) {
    await writeFile(join(folder, file), `select '${file}'`)
  }
  expect(readMigrations(pathToFileURL(`${folder}/`))).toEqual([
    { name: '0001_a', sql: `select '0001_a.sql'` },
    { name: '0002_b', sql: `select '0002_b.sql'` },
  ])
})

test('one migration makes all tables, so a relay that finds them need not ask for more', () => {
  // It works with the triggers of before as well. With a further one that it needs, it has to look into `outbox_migration`
  // before it takes a lane.
  expect(migrations.map(({ name }) => name)).toEqual(['0001_outbox', '0023_doorbell'])
})
