export { createRdStationClient, type RdStationClient, type RdStationClientOptions } from './client.ts'
export type { Contact, ContactsQuery } from './contacts.ts'
export { RdStationError, type RdStationErrorCode } from './errors.ts'
export type { Credentials } from './token.ts'
