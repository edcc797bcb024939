export { StackError, type StackErrorCode } from './errors.ts'
export { ensureDatabase } from './postgres/ensure-database.ts'
export { type RabbitmqService, type Service, type StackEvent } from './service.ts'
export { startPostgresAlone, startStack, type PostgresStack, type Stack, type StackOptions } from './start-stack.ts'
