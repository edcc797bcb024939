import { expect, test } from 'vitest'
import type { Exit } from './processes/index.ts'
import { watchServices } from './services.ts'

const saidOf = (exit: Exit) => {
  const fall = { exit, lastLines: ['a line', 'another'], restartInMs: 100 }
  const said: string[] = []
  const services = watchServices((line) => said.push(line))
  services.onStack({ kind: 'service.exited', service: 'rabbitmq', part: 'rabbitmq', ...fall })
  services.onProcess({ kind: 'process.exited', name: 'control-plane', ...fall })
  return said
}

test.each([
  { code: null, signal: 'SIGKILL', words: 'was ended by SIGKILL' },
  { code: 137, signal: null, words: 'ended with code 137' },
  { code: 0, signal: null, words: 'ended with code 0' },
] as const)('what $words is one line, without the log that says nothing of it', ({ words, ...exit }) => {
  expect(saidOf({ kind: 'ended', ...exit })).toEqual([
    `rabbitmq ${words}; it is started again`,
    `control-plane ${words}; it is started again`,
  ])
})

test('what fails shows the end of its log', () => {
  expect(saidOf({ kind: 'ended', code: 1, signal: null })).toEqual([
    'rabbitmq ended with code 1; it is started again\n  a line\n  another',
    'control-plane ended with code 1; it is started again\n  a line\n  another',
  ])
})
