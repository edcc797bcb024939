import { readFile } from 'node:fs/promises'
import { describeDifference } from './describe-difference.ts'
import { migratedSchema, schemaFile } from './migrated-schema.ts'

const difference = describeDifference(await readFile(schemaFile, 'utf8'), await migratedSchema())
if (difference === null) {
  process.stdout.write('migrations/schema.sql is what the migrations make\n')
} else {
  process.stdout.write(
    `migrations/schema.sql (-) is not what the migrations make (+); npm run schema writes it\n\n${difference}`,
  )
  process.exitCode = 1
}
