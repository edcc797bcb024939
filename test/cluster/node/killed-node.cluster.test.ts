import { execFileSync } from 'node:child_process'
import { existsSync, globSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inheritable, openRegistry, sight, startProcess } from '@esteira/dev/processes'
import { waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { cacheFolder } from '../tools/cache.ts'
import { ownsNode } from '../index.ts'
import { pidsInGroup } from './cgroups.ts'

const readyShape = z.object({ folder: z.string(), group: z.string(), link: z.string() })

const processesOf = (folder: string): string[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => sight(Number(name))?.command ?? '')
    .filter((command) => command.includes(folder))

const links = (): string => execFileSync('/sbin/ip', ['-oneline', 'link'], { encoding: 'utf8' })

test.runIf(ownsNode())('of a node whose run is killed nothing is left', async () => {
  const own = mkdtempSync(join(tmpdir(), 'esteira-killed-node-'))
  const run = startProcess({
    name: 'run',
    script: join(import.meta.dirname, 'fixtures/hold-node/main.ts'),
    env: { ESTEIRA_TEST_CACHE: cacheFolder(process.env) },
    inherit: inheritable(process.env),
    logFile: join(own, 'run.log'),
    registry: openRegistry(join(own, 'processes.json'), own),
    observe: () => undefined,
    restart: false,
    readyWithinMs: 240_000,
  })
  const { folder, group, link } = readyShape.parse(await run.ready)
  const left = () => ({
    processes: processesOf(folder).length,
    pods: pidsInGroup(group).length,
    groups: globSync(`/sys/fs/cgroup/{,*/}${group}`).length,
    link: links().includes(link),
    mounts: readFileSync('/proc/mounts', 'utf8').includes(folder),
    folder: existsSync(folder),
  })
  // The sandbox and the container.
  expect(left()).toMatchObject({ pods: 2, link: true, mounts: false, folder: true })
  run.kill('SIGKILL')
  await run.exited
  // Whoever clears up has the folder among its words, and is the last to go.
  await waitFor(() => !existsSync(folder) && processesOf(folder).length === 0, { deadlineMs: 60_000, describe: left })
  expect(left()).toEqual({ processes: 0, pods: 0, groups: 0, link: false, mounts: false, folder: false })
  rmSync(own, { recursive: true })
})
