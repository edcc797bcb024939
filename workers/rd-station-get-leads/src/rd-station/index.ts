export { createRdStationClient, type RdStationClient } from './client.ts'
export type { Contact } from './contacts.ts'
export { RdStationError } from './errors.ts'
