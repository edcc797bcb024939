export { describeExit, type Exit } from './keep-up.ts'
export { openRegistry, type Registry } from './registry.ts'
export { inheritable, startProcess, type ProcessEvent, type ReadyLine, type StartedProcess } from './start-process.ts'
