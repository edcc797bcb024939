import { ChildProcess, fork } from 'node:child_process'
import { expect, test, vi } from 'vitest'
import { parseTemplate } from '../expression.ts'

vi.mock(import('node:child_process'), { spy: true })

/** What Node gives for a process that may not be started since this one has all the files open that it may have. */
const unstarted = (): ChildProcess => {
  const child = new ChildProcess()
  process.nextTick(() => child.emit('error', new Error('spawn EMFILE')))
  return child
}

test('a process apart for which no file is left fails the attempt alone, and the next expression starts it', async () => {
  const scope = {
    payload: {},
    run: { id: 'run-1', workflowId: 'workflow-1' },
    step: { id: 'step-1', name: 'fetch' },
  }
  const evaluate = () => parseTemplate('{{ $map([1..3], function($n) { $n + 1 }) }}').evaluate(scope)
  vi.mocked(fork).mockImplementationOnce(unstarted)
  await expect(evaluate()).rejects.toMatchObject({ cause: { message: 'spawn EMFILE' } })
  expect(await evaluate()).toEqual([2, 3, 4])
})
