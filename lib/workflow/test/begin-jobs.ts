import type { Engine } from './engine.ts'

/** Begins a run with one job for each payload at a step of the function, and resolves to its id. */
export const beginJobs = async (engine: Engine, functionName: string, payloads: readonly unknown[]): Promise<string> =>
  engine.begin(
    await engine.saveWorkflow(
      { functionName: 'CronJob', outputType: 'multiple' },
      { functionName, outputType: 'single' },
    ),
    payloads,
  )
