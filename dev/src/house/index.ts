export { leadsWorkflow } from '../example/leads-workflow.ts'
export { holdFirstFreePort } from './ports.ts'
export { type HouseSettings, type Program, programs, tickProgram } from './programs.ts'
