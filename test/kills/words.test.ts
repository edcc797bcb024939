import { expect, test } from 'vitest'
import { readWords } from './words.ts'

test.each([
  [[], { trials: ['relays', 'workflows'], blows: 100, seed: null }],
  [['workflows'], { trials: ['workflows'], blows: 100, seed: null }],
  [['7'], { trials: ['relays', 'workflows'], blows: 7, seed: null }],
  [['--seed', '42', 'relays', '7'], { trials: ['relays'], blows: 7, seed: 42 }],
])('%j', (words, read) => {
  expect(readWords(words)).toEqual(read)
})

test.each([['lanes'], ['0'], ['-1'], ['1.5'], ['--seed'], ['--seed', 'x']])('%s is refused, and said', (...words) => {
  expect(readWords(words)).toEqual({ fault: expect.stringContaining(`"${words[0]}"`) })
})
