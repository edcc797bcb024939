import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
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
export const startContainer = ({ runc, image, args, env, uid, mounts = [] }: Start): Container => {
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
  const id = `esteira-${randomUUID()}`
  const state = ['--root', join(folder, 'state')]
  mkdirSync(join(folder, 'state'))
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
