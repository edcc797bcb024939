export { openTestbed, type Testbed, type TestbedOptions } from './testbed.ts'
export type { TestJob, TestRun } from './read-run.ts'
export type { TestStep } from './save-steps.ts'
export { testFunction, type Trial, type TrialJob } from './test-function.ts'
