export { OutboxError, type OutboxErrorCode } from '../errors.ts'
export type { Observation } from './observation.ts'
export type { RelayOptions } from './options.ts'
export { createRelay, type Relay, type Turn } from './relay.ts'
