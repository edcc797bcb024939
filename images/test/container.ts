import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { askUntil } from '@esteira/dev/stack'
import { onTestFinished } from 'vitest'
import type { ImageConfig } from '../index.ts'

/** An image as it lies on the disk, and what it says of its start. */
export type Unpacked = { folder: string; config: ImageConfig }

/** The program of an image at work, as the first process of a container. */
export type Container = {
  child: ChildProcess
  lines: Record<string, unknown>[]
  faults: string[]
  saw: (event: string) => Record<string, unknown>[]
  /** Resolves to the exit code, once all that it said was read. */
  exited: Promise<number | null>
}

type Start = {
  runc: string
  image: Unpacked
  /** In place of the image's own. */
  args?: readonly string[]
  env: Readonly<Record<string, string>>
  uid: number
  /** Folders of this machine, to be read in the container. */
  mounts?: readonly { from: string; to: string }[]
}

/**
 * Runs an image as a pod with the `restricted` security context would: root is read-only, the user has no name, no home and
 * no capability, and there is no other file system to write to. The network is the machine's. It ends with the test.
 */
export const startContainer = ({ runc, ...start }: Start): Container => {
  const { folder, id, state } = writeBundle(start)
  const child = spawn(runc, [...state, 'run', '--bundle', folder, id], { stdio: ['ignore', 'pipe', 'pipe'] })
  const lines: Record<string, unknown>[] = []
  const faults: string[] = []
  createInterface(child.stdout).on('line', (line) =>
    lines.push(line.startsWith('{') ? JSON.parse(line) : { said: line }),
  )
  createInterface(child.stderr).on('line', (line) => faults.push(line))
  const exited = once(child, 'close').then(() => child.exitCode)
  onTestFinished(async () => {
    spawnSync(runc, [...state, 'delete', '--force', id])
    await exited
    rmSync(folder, { recursive: true })
  })
  return { child, lines, faults, exited, saw: (event) => lines.filter((line) => line.event === event) }
}

/** Writes what runc is to know of a container, and gives it a name; `state` is where runc keeps what it does. */
const writeBundle = ({ image, args, env, uid, mounts = [] }: Omit<Start, 'runc'>) => {
  const folder = mkdtempSync(join(tmpdir(), 'esteira-container-'))
  const { Entrypoint, Cmd, Env, WorkingDir } = image.config
  const words = [...(Entrypoint ?? []), ...(args ?? Cmd ?? [])]
  const variables = [...(Env ?? []), ...Object.entries(env).map(([name, value]) => `${name}=${value}`)]
  const process = {
    args: words,
    env: variables,
    cwd: WorkingDir ?? '/',
    user: { uid, gid: uid },
    noNewPrivileges: true,
  }
  writeFileSync(
    join(folder, 'config.json'),
    JSON.stringify({
      ociVersion: '1.0.2',
      process,
      root: { path: image.folder, readonly: true },
      mounts: [
        { destination: '/proc', type: 'proc', source: 'proc' },
        { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755', 'size=64k'] },
        ...mounts.map(({ from, to }) => ({ destination: to, type: 'bind', source: from, options: ['bind', 'ro'] })),
      ],
      linux: { namespaces: ['pid', 'mount', 'ipc', 'uts'].map((type) => ({ type })) },
    }),
  )
  const state = join(folder, 'state')
  mkdirSync(state)
  return { folder, id: `esteira-${randomUUID()}`, state: ['--root', state] }
}

/** How a container came up: milliseconds from the exec of its program to its first good answer, and of CPU until then. */
export type Rise = { ms: number; cpuMs: number }

/**
 * Starts a container as the kubelet has it done, in two steps: its namespaces and mounts are there before its time
 * begins, which is when runc gives way to the program. It is killed as soon as `url` answers with 200.
 *
 * @throws when it does not within a minute.
 */
export const riseOf = async ({ runc, ...start }: Start, url: string): Promise<Rise> => {
  const { folder, id, state } = writeBundle(start)
  const asked = (command: string, ...words: string[]): void => {
    // Its output would be that of the container as well, which stays open.
    const { status, error } = spawnSync(runc, [...state, command, ...words, id], { stdio: 'ignore' })
    if (status !== 0) throw new Error(`runc ${command} ended with code ${status}`, { cause: error })
  }
  try {
    asked('create', '--bundle', folder, '--pid-file', join(folder, 'pid'))
    const pid = readFileSync(join(folder, 'pid'), 'utf8')
    const nameOf = (): string => readFileSync(`/proc/${pid}/comm`, 'utf8')
    const waiting = nameOf()
    const started = once(spawn(runc, [...state, 'start', id], { stdio: 'ignore' }), 'exit')
    const signal = AbortSignal.timeout(60_000)
    while (nameOf() === waiting) await delay(1, undefined, { signal })
    const execMs = performance.now()
    await askUntil(() => answersWell(url), 5, signal)
    const rise = { ms: performance.now() - execMs, cpuMs: cpuMsOf(pid) }
    await started
    return rise
  } finally {
    spawnSync(runc, [...state, 'delete', '--force', id], { stdio: 'ignore' })
    rmSync(folder, { recursive: true })
  }
}

const answersWell = async (url: string): Promise<void> => {
  const { status } = await fetch(url)
  if (status !== 200) throw new Error(`${url} answers ${status}`)
}

/** What a process has used of the cores; Linux tells it in hundredths of a second (proc(5)). */
const cpuMsOf = (pid: string): number => {
  const [, ...fields] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')
  const [user = 0, system = 0] = fields.join().split(' ').slice(11, 13).map(Number)
  return (user + system) * 10
}
