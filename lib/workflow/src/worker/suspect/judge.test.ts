import { expect, test } from 'vitest'
import { judge, type Suspicion } from './judge.ts'

const own = { how: 'it ended with exit code 7', isOwn: true }
const killed = { how: 'it was ended by SIGKILL', isOwn: false }
const fresh: Suspicion = { stage: 0, falseStarts: 0, killed: 0 }
const alone = { atWork: 1, given: 1 }

test.each([
  { atWork: 100, given: 100, stage: 1 },
  { atWork: 11, given: 100, stage: 1 },
  { atWork: 10, given: 100, stage: 2 },
  { atWork: 2, given: 2, stage: 2 },
  { atWork: 1, given: 2, stage: 3 },
])('of $atWork at work in a ward that had $given none is guilty, and each comes again at stage $stage', (company) => {
  expect(judge(fresh, true, company, own)).toEqual({ kind: 'again', suspicion: { ...fresh, stage: company.stage } })
})

test('one that had its ward to itself is guilty of its death', () => {
  expect(judge(fresh, true, alone, own)).toEqual({ kind: 'guilty' })
})

test('a signal from outside makes it guilty only when it comes a second time', () => {
  const first = judge(fresh, true, alone, killed)
  expect(first).toEqual({ kind: 'again', suspicion: { stage: 3, falseStarts: 0, killed: 1 } })
  expect(judge({ stage: 3, falseStarts: 0, killed: 1 }, true, alone, killed)).toEqual({ kind: 'guilty' })
})

test('a signal that met others as well does not count', () => {
  const company = { atWork: 2, given: 2 }
  expect(judge({ stage: 1, falseStarts: 0, killed: 1 }, true, company, killed)).toEqual({
    kind: 'again',
    suspicion: { stage: 2, falseStarts: 0, killed: 1 },
  })
})

test('one that never began is tried three times more at its stage, and then nothing is known of it', () => {
  for (const falseStarts of [0, 1, 2]) {
    const suspicion = { stage: 2, falseStarts, killed: 0 } as const
    const again = { kind: 'again', suspicion: { ...suspicion, falseStarts: falseStarts + 1 } }
    expect(judge(suspicion, false, alone, own)).toEqual(again)
  }
  expect(judge({ stage: 2, falseStarts: 3, killed: 0 }, false, alone, own)).toEqual({ kind: 'unknown' })
})
