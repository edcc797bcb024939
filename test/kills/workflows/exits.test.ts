import type { ProcessEvent } from '@esteira/dev/processes'
import { expect, test } from 'vitest'
import type { Blow } from '../strike.ts'
import { watchExits } from './exits.ts'

const started: ProcessEvent = { kind: 'process.started', name: 'a', pid: 1 }
const ready: ProcessEvent = { kind: 'process.ready', name: 'a', ms: 1 }
const exited = (code: number | null, signal: NodeJS.Signals | null = null): ProcessEvent => {
  return {
    kind: 'process.exited',
    name: 'a',
    exit: { kind: 'ended', code, signal },
    lastLines: ['why'],
    restartInMs: 1,
  }
}

const faultsOf = (...happened: (ProcessEvent | Blow['how'])[]): string[] => {
  const exits = watchExits()
  for (const one of happened) {
    if (typeof one === 'string') exits.blow({ victim: 'a', how: one })
    else exits.observe(one)
  }
  return exits.faults
}

test.each<[string, ...(ProcessEvent | Blow['how'])[]]>([
  ['was killed', started, ready, 'killed', exited(null, 'SIGKILL')],
  ['was asked to end and said 0', started, ready, 'stopped', exited(0)],
  ['was killed while it ended', started, ready, 'stopped', 'killed', exited(null, 'SIGKILL')],
  ['was asked to end before it listened', started, 'stopped', exited(null, 'SIGTERM')],
])('one that %s is no fault', (_, ...happened) => {
  expect(faultsOf(...happened)).toEqual([])
})

test.each<[string, string, ...(ProcessEvent | Blow['how'])[]]>([
  ['ends by itself', 'a, untouched, ended with code 1\n  why', started, ready, exited(1)],
  ['ends by itself when all is done', 'a, untouched, ended with code 0\n  why', started, ready, exited(0)],
  ['ends after a frost', 'a, untouched, ended with code 1\n  why', started, ready, 'frozen', exited(1)],
  ['says 1 when it is asked to end', 'a, stopped, ended with code 1\n  why', started, ready, 'stopped', exited(1)],
  [
    'is ended by the signal in the middle of its work',
    'a, stopped, was ended by SIGTERM\n  why',
    started,
    ready,
    'stopped',
    exited(null, 'SIGTERM'),
  ],
  [
    'ends by itself in a later life than the one that was killed',
    'a, untouched, ended with code 1\n  why',
    started,
    'killed',
    exited(null, 'SIGKILL'),
    started,
    exited(1),
  ],
])('one that %s is a fault', (_, fault, ...happened) => {
  expect(faultsOf(...happened)).toEqual([fault])
})
