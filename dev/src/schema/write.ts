import { writeFile } from 'node:fs/promises'
import { migratedSchema, schemaFile } from './migrated-schema.ts'

await writeFile(schemaFile, await migratedSchema())
process.stdout.write(`written: ${schemaFile}\n`)
