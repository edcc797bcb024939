import { expect, test } from 'vitest'
import { partOf, selfTimes } from './self-times.ts'

const root = new URL('../../', import.meta.url).href
const frame = (functionName: string, url: string, lineNumber: number) => ({ functionName, url, lineNumber })
const profile = JSON.stringify({
  nodes: [
    { id: 1, callFrame: frame('(idle)', '', -1) },
    { id: 2, callFrame: frame('publish', `${root}lib/outbox/src/relay/publish/confirm-channel.ts`, 66) },
    { id: 3, callFrame: frame('parseRow', `${root}node_modules/pg/lib/result.js`, 9) },
    // The same function, called from elsewhere.
    { id: 4, callFrame: frame('parseRow', `${root}node_modules/pg/lib/result.js`, 9) },
    { id: 5, callFrame: frame('(garbage collector)', '', -1) },
  ],
  samples: [1, 2, 3, 4, 5],
  timeDeltas: [1_000, 30, 20, 25, 10],
})

test('the time of a function is that of all its calls, and idle time is none', () => {
  expect(selfTimes(profile)).toEqual([
    { name: 'parseRow', place: 'pg/lib/result.js:10', us: 45 },
    { name: 'publish', place: 'lib/outbox/src/relay/publish/confirm-channel.ts:67', us: 30 },
    { name: '(garbage collector)', place: '', us: 10 },
  ])
})

test('a part is a folder of the relay, a package, or Node', () => {
  expect(selfTimes(profile).map(partOf)).toEqual(['pg', 'lib/outbox/src/relay/publish', 'garbage collector'])
})
