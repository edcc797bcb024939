export { holdFirstFreePort } from './ports.ts'
export { type HouseSettings, type Program, programs } from './programs.ts'
