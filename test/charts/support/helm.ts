import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { inject } from 'vitest'

export const root = resolve(import.meta.dirname, '../../..')

/** Where a chart lies: `esteira`, `outbox-relay` or `examples/shop` of this tree, or another by its whole path. */
export const chartFolder = (chart: string): string => resolve(root, 'charts', chart)

/** A release as somebody would install it: its values are files, objects, or settings as `--set` takes them. */
export type Release = {
  chart?: string
  name?: string
  namespace?: string
  files?: readonly string[]
  values?: object
  set?: readonly string[]
  /** Further flags. */
  flags?: readonly string[]
}

/** What helm said: what it printed, or why it refused. */
export type Said = { ok: true; stdout: string } | { ok: false; words: string }

/** Runs helm. Nothing of the user's own, such as plugins or registries, is in its way. */
export const helm = (words: readonly string[], input = ''): Promise<Said> =>
  new Promise((done, failed) => {
    const nowhere = '/nonexistent'
    // A quarter of the CPU of such a short life went into collecting garbage.
    const env = { HOME: nowhere, HELM_CACHE_HOME: nowhere, HELM_CONFIG_HOME: nowhere, GOGC: 'off' }
    const child = execFile(
      inject('helmTools').helm,
      [...words],
      { env, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        if (error === null) done({ ok: true, stdout })
        else if (typeof error.code === 'number') done({ ok: false, words: `${stdout}${stderr}` })
        else failed(error)
      },
    )
    child.stdin?.end(input)
  })

/** Runs a command of helm that takes a chart and values. */
export const withRelease = (
  command: readonly string[],
  { chart = 'esteira', name, namespace, files = [], values = {}, set = [], flags = [] }: Release,
): Promise<Said> =>
  helm(
    [
      ...command,
      ...(name === undefined ? [] : [name]),
      chartFolder(chart),
      ...(namespace === undefined ? [] : ['--namespace', namespace]),
      ...files.flatMap((file) => ['--values', file]),
      '--values',
      '-',
      ...set.flatMap((setting) => ['--set', setting]),
      ...flags,
    ],
    JSON.stringify(values),
  )
