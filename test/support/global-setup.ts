import type { TestProject } from 'vitest/node'
import { startTestStack, type TestStack } from './test-stack.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Where the run's services are, with their passwords, and the name of the database to copy. */
    stack: { postgresUrl: string; rabbitmqUrl: string; managementUrl: string; template: string }
  }
}

declare global {
  // oxlint-disable-next-line no-var
  var esteiraTestStack: { started: Promise<TestStack>; users: number } | undefined
}

/**
 * Vitest runs this for each project that names it and has a file to run, each time in a module graph of its own. All of
 * them share one stack, so it hangs on the process; the last one to leave stops it.
 */
export const setup = async (project: TestProject): Promise<() => Promise<void>> => {
  globalThis.esteiraTestStack ??= { started: startTestStack(process.env), users: 0 }
  const shared = globalThis.esteiraTestStack
  shared.users += 1
  const { stack, template } = await shared.started
  project.provide('stack', {
    postgresUrl: stack.postgres.url,
    rabbitmqUrl: stack.rabbitmq.url,
    managementUrl: stack.rabbitmq.managementUrl,
    template,
  })
  return async () => {
    shared.users -= 1
    if (shared.users > 0) return
    globalThis.esteiraTestStack = undefined
    await stack.stop()
  }
}
