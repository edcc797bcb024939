/** What is around workers in the tests of the workflow library, for functions that need more than its testbed. */
export { type Engine, functionOf, laneName, openEngine } from '../../lib/workflow/test/engine.ts'
export { expectConserved } from '../../lib/workflow/test/expect-conserved.ts'
export { useEngine } from '../../lib/workflow/test/use-engine.ts'
export { startWorkerProgram } from './start-worker-program.ts'
