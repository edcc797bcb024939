import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'

const module = new URL('watch-stall.ts', import.meta.url).href

/** A process that is watched and does some work; `said` is what it wrote, `ended` how it ended. */
const startWatched = (work: string, within: readonly string[] = []) => {
  const source = `
    import { watchStall } from '${module}'
    const busyFor = (ms) => { for (const until = Date.now() + ms; Date.now() < until;); }
    const watch = watchStall({ name: 'watched', stallMs: 1_000 })
    process.stdout.write('started\\n')
    ${work}`
  const [program, ...words] = [...within, process.execPath, '--input-type=module', '--eval', source]
  const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.on('data', (bytes) => (said += String(bytes)))
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  const ended = once(child, 'close').then(([code, signal]: unknown[]) => ({ code, signal }))
  return { child, ended, said: () => said, isStarted: once(child.stdout, 'data') }
}

test('a process whose event loop stands still is killed, and says why', async () => {
  const { ended, said } = startWatched('setTimeout(() => busyFor(60_000), 10)')
  expect(await ended).toEqual({ code: null, signal: 'SIGKILL' })
  expect(JSON.parse(said().split('\n')[1] ?? '')).toMatchObject({
    level: 'error',
    name: 'watched',
    event: 'worker.stalled',
    reason: expect.stringContaining('stood still for 1000 ms'),
  })
}, 30_000)

/** As in a container, where the program is the first process. */
const container = ['--user', '--map-root-user', '--pid', '--fork', '--kill-child']
const canContain = spawnSync('unshare', [...container, 'true']).status === 0

test.runIf(canContain)(
  'the first process of a container, which no signal from inside kills, ends as well',
  async () => {
    const work = `process.stdout.write('process ' + process.pid + '\\n'); setTimeout(() => busyFor(60_000), 10)`
    const { ended, said } = startWatched(work, ['unshare', ...container])
    expect(await ended).toEqual({ code: null, signal: 'SIGTRAP' })
    const [, own, ...lines] = said().trim().split('\n')
    expect(own).toBe('process 1')
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([{ event: 'worker.stalled' }])
  },
  30_000,
)

test('a process that is busy, but not for so long in one go, is left alone and ends by itself', async () => {
  const { ended } = startWatched(
    'let left = 6; const go = () => { busyFor(300); if (left-- > 0) setTimeout(go) }; go()',
  )
  expect(await ended).toEqual({ code: 0, signal: null })
}, 30_000)

test('a process that stood still as a whole has missed nothing', async () => {
  const { child, ended, isStarted } = startWatched('setTimeout(() => {}, 3_000)')
  await isStarted
  child.kill('SIGSTOP')
  await pause(1_500)
  child.kill('SIGCONT')
  expect(await ended).toEqual({ code: 0, signal: null })
}, 30_000)

test('one that is no longer watched may be as busy as it likes', async () => {
  const { ended } = startWatched('watch.stop(); setTimeout(() => busyFor(1_700), 50)')
  expect(await ended).toEqual({ code: 0, signal: null })
}, 30_000)
