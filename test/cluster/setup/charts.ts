import type { TestProject } from 'vitest/node'
import { helmTools, type HelmTools } from '../tools/helm-tools.ts'
import { meansOfRun } from './means.ts'

declare module 'vitest' {
  interface ProvidedContext {
    helmTools: HelmTools
  }
}

/** For tests that render charts: helm alone. */
export const setup = async (project: TestProject): Promise<void> => {
  project.provide('helmTools', await helmTools(meansOfRun()))
}
