import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { neededMigration } from './expect-migrated.ts'

test('the migration that programs wait for is the last one', () => {
  const files = readdirSync(join(import.meta.dirname, '../../../../migrations')).filter((file) =>
    /^\d.*\.sql$/.test(file),
  )
  expect(`${neededMigration}.sql`).toBe(files.toSorted().at(-1))
})
