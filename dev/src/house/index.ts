export { leadsWorkflow } from '../example/leads-workflow.ts'
export { type ApiRun, type ApiWorkflow, createApi, runShape, workflowShape } from './api.ts'
export { holdFirstFreePort } from './ports.ts'
export { type HouseSettings, type Program, programs, tickProgram } from './programs.ts'
