export { createRdStation } from './app.ts'
export { startRdStation, type RunningRdStation } from './server.ts'
export {
  defaultCredentials,
  type Credentials,
  type RdStationControl,
  type RdStationEvent,
  type RdStationOptions,
} from './stand-in.ts'
export type { StandInContact } from './contacts.ts'
export type { Outcome, RequestCounts } from './requests.ts'
export type { Settings, SettingsChange } from './settings.ts'
