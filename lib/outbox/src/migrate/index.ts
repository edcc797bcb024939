export { OutboxError, type OutboxErrorCode } from '../errors.ts'
export { migrate } from './migrate.ts'
export { type Migration, migrations } from './migrations.ts'
