import { expect, test } from 'vitest'
import { describeDeath } from './describe-death.ts'

const nothing = { endedFor: null, printed: '', uncaught: null }

test.each([
  [{ code: 7, signal: null }, nothing, 'it ended with exit code 7', true],
  [{ code: 0, signal: null }, nothing, 'it ended with exit code 0', true],
  [
    { code: 1, signal: null },
    { ...nothing, printed: 'Error: token s3cret', uncaught: 'TypeError' },
    'it ended with exit code 1, for an error that nobody caught (TypeError)',
    true,
  ],
  [{ code: null, signal: 'SIGABRT' }, nothing, 'it was ended by SIGABRT', true],
  [{ code: null, signal: 'SIGSEGV' }, nothing, 'it was ended by SIGSEGV', true],
  [
    { code: null, signal: 'SIGABRT' },
    { ...nothing, printed: 'FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory' },
    'it ran out of memory',
    true,
  ],
  [{ code: null, signal: 'SIGKILL' }, { ...nothing, endedFor: 'it hung' }, 'it hung', true],
  [{ code: null, signal: 'SIGKILL' }, nothing, 'it was ended by SIGKILL', false],
  [{ code: null, signal: 'SIGTERM' }, nothing, 'it was ended by SIGTERM', false],
])('%j with %j', (exit, witnessed, how, isOwn) => {
  expect(describeDeath(exit, witnessed)).toEqual({ how, isOwn })
})
