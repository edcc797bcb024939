import { expect, test } from 'vitest'
import type { Ending, FinishedJob } from '../../job/held-job.ts'
import { aJob } from '../../../test/a-job.ts'
import { WorkflowError } from '../../errors.ts'
import { type CommitEvent, commitGroup, cutShort, type GroupFate, rejected } from './commit-group.ts'

const nul = Object.assign(new Error('unsupported Unicode escape sequence'), { code: '22P05' })
const grant = Object.assign(new Error('permission denied for table outbox_message'), { code: '42501' })
const cancelled = Object.assign(new Error('canceling statement due to statement timeout'), { code: '57014' })
const down = Object.assign(new Error('connection refused'), { code: 'ECONNREFUSED' })

const finishedJob = (id: number): FinishedJob => ({
  job: { ...aJob, id: String(id), runId: `run ${id}` },
  ending: { kind: 'succeeded', placed: { kind: 'output', output: id } },
  elapsedMs: 1,
})

const lockedOut = Object.assign(new Error('canceling statement due to lock timeout'), { code: '55P03' })
const heldUp = new WorkflowError('held_up', 'the run is held locked', { cause: cancelled })

type Refusal = (ids: number[], how: 'as usual' | 'locks first') => Error | null

/**
 * A group whose units of work are refused as `refuse` says, by the jobs in them. Rejected jobs are taken. `locked` are the jobs
 * and runs that somebody has.
 */
const setup = (
  size: number,
  refuse: Refusal,
  { stopped = new AbortController().signal, locked = [] }: { stopped?: AbortSignal; locked?: readonly string[] } = {},
) => {
  const group = Array.from({ length: size }, (_, id) => finishedJob(id))
  const units: number[][] = []
  const written: number[] = []
  const events: CommitEvent[] = []
  const told: [number, GroupFate][] = []
  const write = (how: Parameters<Refusal>[1]) => async (finished: readonly FinishedJob[]) => {
    units.push(finished.map(({ job }) => Number(job.id)))
    const taken = finished.filter(({ ending }) => ending.kind !== 'failed').map(({ job }) => Number(job.id))
    const error = refuse(taken, how)
    if (error !== null) throw error
    written.push(...finished.map(({ job }) => Number(job.id)))
    return new Set(finished)
  }
  const commit = () =>
    commitGroup(group, {
      write: write('as usual'),
      writeLocked: write('locks first'),
      lockedAmong: async () => new Set(locked),
      observe: (event) => events.push(event),
      pause: () => Promise.resolve(),
      tell: (place, fate) => told.push([place, fate]),
      stopped,
    })
  return { group, units, written, events, told, commit }
}

const byNumber = (a: number, b: number) => a - b
const all = (size: number) => Array.from({ length: size }, (_, id) => id)

test('a group that is taken is one unit of work', async () => {
  const { units, commit, group } = setup(200, () => null)
  expect(await commit()).toEqual(group.map(({ ending }) => ({ kind: 'written', ending })))
  expect(units).toHaveLength(1)
})

test('those that are written while another is given up again and again are told of meanwhile', async () => {
  const toldBefore: number[][] = []
  const { told, commit } = setup(4, (ids) => {
    if (!ids.includes(2)) return null
    toldBefore.push(told.map(([place]) => place).toSorted(byNumber))
    return toldBefore.length < 4 ? cancelled : null
  })
  const fates = await commit()
  expect(toldBefore.at(-1)).toEqual([0, 1, 3])
  expect(told.toSorted(([one], [other]) => byNumber(one, other))).toEqual([...fates.entries()])
})

test('jobs that are locked, or whose runs are, leave the group by what holds them, and the others are written together', async () => {
  const { units, told, events, commit, group } = setup(
    8,
    (ids) => (ids.some((id) => id === 2 || id === 5) ? lockedOut : null),
    { locked: ['2', 'run 5'] },
  )
  const [second, fifth] = ['2', 'run 5'].map((lock) => ({ kind: 'held up', lock }))
  const written = group.map(({ ending }) => ({ kind: 'written', ending }))
  expect(await commit()).toEqual(written.map((fate, id) => (id === 2 ? second : id === 5 ? fifth : fate)))
  expect(units).toEqual([all(8), [0, 1, 3, 4, 6, 7]])
  expect(told.slice(0, 2)).toEqual([
    [2, second],
    [5, fifth],
  ])
  expect(events).toEqual([{ kind: 'commit.held-up', jobs: 2, reason: lockedOut.message }])
})

test('of a run that is locked a job that comes again is written, as it is counted where it was', async () => {
  const { group, units, commit } = setup(2, (ids) => (ids.length > 1 ? lockedOut : null), {
    locked: ['run 0', 'run 1'],
  })
  group[1] = { ...finishedJob(1), ending: { kind: 'requeued', attempt: 1, delayMs: 0, error: null } }
  expect(await commit()).toMatchObject([{ kind: 'held up' }, { kind: 'written' }])
  expect(units).toEqual([[0, 1], [1]])
})

test('of guilty ones whose ends wait for a lock those that are free are failed, and the others leave with their results', async () => {
  let ends = 0
  const { commit } = setup(
    2,
    (ids) => {
      if (ids.length > 0) return nul
      return (ends += 1) === 1 ? lockedOut : null
    },
    { locked: ['run 0'] },
  )
  expect(await commit()).toMatchObject([
    { kind: 'held up', lock: 'run 0' },
    { kind: 'written', ending: { kind: 'failed' } },
  ])
})

test('where nobody has what they wait for, as with the lock of a table, all leave the group', async () => {
  const { units, commit } = setup(3, () => lockedOut)
  expect(await commit()).toEqual(all(3).map((id) => ({ kind: 'held up', lock: `run ${id}` })))
  expect(units).toHaveLength(1)
})

test('beside a job that is locked a guilty one is found and failed', async () => {
  const { commit } = setup(8, (ids) => (ids.includes(2) ? lockedOut : ids.includes(6) ? nul : null), {
    locked: ['run 2'],
  })
  const ends = (await commit()).map((fate) => (fate.kind === 'written' ? fate.ending.kind : fate.kind))
  expect(ends).toEqual(all(8).map((id) => (id === 2 ? 'held up' : id === 6 ? 'failed' : 'succeeded')))
})

test('of 200 jobs the guilty one is found and failed in 2 log2 200 + 1 units of work, wherever it is', async () => {
  for (const guilty of all(200)) {
    const { units, written, events, commit } = setup(200, (ids) => (ids.includes(guilty) ? nul : null))
    const fates = await commit()
    expect(units.length).toBeLessThanOrEqual(2 * Math.ceil(Math.log2(200)) + 1)
    expect(written.toSorted(byNumber)).toEqual(all(200))
    expect(events).toEqual([])
    expect(fates[guilty]).toMatchObject({
      kind: 'written',
      ending: { kind: 'failed', error: { code: 'output_rejected' } },
    })
    const ends = fates.map((fate) => (fate.kind === 'written' ? fate.ending.kind : fate.kind))
    expect(ends).toEqual(all(200).map((id) => (id === guilty ? 'failed' : 'succeeded')))
  }
})

test('a group of guilty ones alone costs two units of work a job at most, and one for all their ends', async () => {
  const { units, written, commit } = setup(64, (ids) => (ids.length > 0 ? nul : null))
  const fates = await commit()
  for (const fate of fates) expect(fate).toMatchObject({ kind: 'written', ending: { kind: 'failed' } })
  expect(units.length).toBeLessThanOrEqual(2 * 64)
  expect(written.toSorted(byNumber)).toEqual(all(64))
})

test('for a fault of the house no job fails: all are refused, told once, after a few units of work', async () => {
  const { units, written, events, commit } = setup(200, () => grant)
  expect(await commit()).toEqual(all(200).map(() => ({ kind: 'refused' })))
  expect(units.length).toBeLessThanOrEqual(12)
  expect(written).toEqual([])
  expect(events).toEqual([{ kind: 'commit.refused', jobs: 200, reason: grant.message }])
})

test('a fault of the house that one job alone meets refuses that one, and the others are written', async () => {
  for (const odd of [0, 7, 99, 100, 199]) {
    const { written, events, commit } = setup(200, (ids) => (ids.includes(odd) ? grant : null))
    const fates = await commit()
    expect(fates.flatMap(({ kind }, id) => (kind === 'written' ? [] : [id]))).toEqual([odd])
    expect(written).toHaveLength(199)
    expect(events).toMatchObject([{ jobs: 1 }])
  }
})

test('a fault of the house that some jobs meet, also one after the other, refuses those, and the others are written', async () => {
  for (const odd of [
    [0, 1],
    [0, 1, 2],
    [98, 99, 100, 101],
    [0, 1, 199],
    [0, 1, 100],
    [50, 51, 52, 198, 199],
  ]) {
    const { units, written, events, commit } = setup(200, (ids) => (ids.some((id) => odd.includes(id)) ? grant : null))
    const fates = await commit()
    expect(fates.flatMap(({ kind }, id) => (kind === 'written' ? [] : [id]))).toEqual(odd)
    expect(written.toSorted(byNumber)).toEqual(all(200).filter((id) => !odd.includes(id)))
    expect(events).toMatchObject([{ jobs: odd.length }])
    expect(units.length).toBeLessThan(60)
  }
})

test('beside a fault of the house that all meet a guilty one is found, or comes again with the others', async () => {
  const { written, commit } = setup(9, (ids) => (ids.includes(8) ? nul : ids.length > 0 ? grant : null))
  const fates = await commit()
  for (const [id, fate] of fates.entries()) expect([id, fate.kind]).toEqual([id, id === 8 ? 'written' : 'refused'])
  expect(written).toEqual([8])
})

test('jobs that are too much only together are all written', async () => {
  const { written, commit, group } = setup(8, (ids) => (ids.length > 1 ? nul : null))
  expect(await commit()).toEqual(group.map(({ ending }) => ({ kind: 'written', ending })))
  expect(written.toSorted(byNumber)).toEqual(all(8))
})

test('a rejected job whose end is refused too is refused', async () => {
  const { events, commit } = setup(1, (ids) => (ids.length > 0 ? nul : grant))
  expect(await commit()).toEqual([{ kind: 'refused' }])
  expect(events).toEqual([{ kind: 'commit.refused', jobs: 1, reason: grant.message }])
})

test('one that Postgres gives up each time ends without its result, told why, and the others are written', async () => {
  for (const guilty of [0, 7, 99, 199]) {
    const { units, written, events, commit } = setup(200, (ids) => (ids.includes(guilty) ? cancelled : null))
    const fates = await commit()
    expect(written.toSorted(byNumber)).toEqual(all(200))
    expect(
      fates.flatMap((fate, id) => (fate.kind === 'written' && fate.ending.kind === 'succeeded' ? [] : [id])),
    ).toEqual([guilty])
    const message = `the database gave up writing the result: ${cancelled.message}`
    expect(fates[guilty]).toMatchObject({ ending: { kind: 'failed', error: { code: 'write_cut_short', message } } })
    // Three times with its result, and once without.
    expect(units.filter((ids) => ids.length === 1 && ids[0] === guilty)).toHaveLength(4)
    expect(units.length).toBeLessThanOrEqual(2 * Math.ceil(Math.log2(200)) + 4)
    expect(events).toEqual([1, 2].map(() => ({ kind: 'commit.cut-short', jobs: 1, reason: cancelled.message })))
  }
})

test('one that is given up is tried again as its step says', async () => {
  const given = { ...finishedJob(1), nextTry: { attempt: 1, delayMs: 500 } }
  const error = { code: 'write_cut_short', message: 'the database gave up writing the result: it takes too long' }
  expect(cutShort(given, new Error('it takes too long')).ending).toEqual({
    kind: 'requeued',
    attempt: 1,
    delayMs: 500,
    error,
  })
  expect(cutShort({ ...given, nextTry: { attempt: 5, delayMs: null } }, new Error('it takes too long')).ending).toEqual(
    {
      kind: 'failed',
      error,
    },
  )
})

const next = { id: 'next', functionName: 'next' }

test.each<[string, Ending]>([
  ['a stream whose items are all there', { kind: 'succeeded', placed: { kind: 'items', items: [], next } }],
  ['a function that nothing comes out of', { kind: 'succeeded', placed: { kind: 'output', output: null } }],
])('no result is blamed where there is none, however often the write of the end is given up: %s', async (_, ending) => {
  for (const times of all(10)) {
    let units = 0
    const { commit, group } = setup(1, () => ((units += 1) <= times ? cancelled : null))
    for (const one of group) one.ending = ending
    expect(await commit()).toEqual([{ kind: 'written', ending }])
  }
})

test('those that Postgres gives up with any end are tried again with their results, however long that takes', async () => {
  for (const bad of all(80)) {
    let units = 0
    const { written, commit, group } = setup(8, () => ((units += 1) <= bad ? cancelled : null))
    const fates = await commit()
    expect(written.toSorted(byNumber)).toEqual(all(8))
    const results = fates.flatMap((fate, id) =>
      fate.kind === 'written' && fate.ending === group[id]?.ending ? [id] : [],
    )
    // One may have had its first good moment without its result.
    expect(results.length).toBeGreaterThanOrEqual(7)
  }
})

test('one that is given up for the lock that somebody holds leaves the group, and has no result blamed for it', async () => {
  const { units, commit, group } = setup(
    8,
    (ids, how) => (ids.includes(5) ? (how === 'as usual' ? cancelled : heldUp) : null),
    { locked: ['run 5'] },
  )
  const fates = await commit()
  expect(fates).toEqual(
    group.map(({ ending }, id) => (id === 5 ? { kind: 'held up', lock: 'run 5' } : { kind: 'written', ending })),
  )
  // Four units of work of a search have the job, and behind it none has another.
  expect(units.findLastIndex((ids) => ids.some((id) => id !== 5))).toBeLessThan(8)
})

test('a bad moment, and whatever comes when the worker has stopped, is thrown to be tried again', async () => {
  await expect(setup(4, () => down).commit()).rejects.toBe(down)
  await expect(setup(4, () => nul, { stopped: AbortSignal.abort() }).commit()).rejects.toBe(nul)
})

test('of many items that Postgres refuses each is looked at by itself: all may be more text than there can be', async () => {
  const items = Object.assign(['good', { text: 'bad\0' }], {
    toJSON: () => {
      throw new RangeError('Invalid string length')
    },
  })
  const { ending } = rejected(
    { ...finishedJob(1), ending: { kind: 'succeeded', placed: { kind: 'items', items, next } } },
    nul,
  )
  expect(ending).toMatchObject({
    error: { message: expect.stringContaining('its text at /1/text has a NUL character') },
  })
})
