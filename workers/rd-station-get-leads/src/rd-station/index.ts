export { createRdStationClient, type RdStationClient } from './client.ts'
export { type ContactsCursor, contactsCursor } from './contacts.ts'
export { RdStationError } from './errors.ts'
export { throttledMs } from './throttled.ts'
