import { spawn, spawnSync } from 'node:child_process'
import { expect, onTestFinished, test } from 'vitest'
import { kill, treeOf } from '../support/npm-start.ts'
import { waitFor } from '../support/wait-for.ts'
import { freeze } from './strike.ts'

/** Starts another process in a group of its own, as Postgres does. */
const parent = `
  require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e3)'], { detached: true })
  setInterval(() => {}, 1e3)`

const isStopped = (pid: number): boolean =>
  spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' })
    .stdout.trim()
    .startsWith('T')

test('a server is frozen with the processes below it, whatever their groups, and all of them are thawed', async () => {
  const { pid = 0 } = spawn(process.execPath, ['-e', parent], { stdio: 'ignore' })
  onTestFinished(() => {
    for (const one of treeOf(pid)) kill(one)
  })
  const tree = await waitFor(() => treeOf(pid).length === 2 && treeOf(pid), { deadlineMs: 4_000 })
  const thaw = freeze(pid, treeOf)
  await waitFor(() => tree.every(isStopped), { describe: 'both to be stopped' })
  thaw()
  await waitFor(() => !tree.some(isStopped), { describe: 'both to go on' })
  expect(treeOf(pid)).toEqual(tree)
}, 30_000)
