import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'

const run = promisify(execFile)

const packageJson = { name: 'empty', private: true, type: 'module' }

/** Checks the types of the packages too, not only our use of them. */
const tsconfig = {
  compilerOptions: {
    target: 'es2024',
    module: 'nodenext',
    types: ['node'],
    strict: true,
    noEmit: true,
    skipLibCheck: false,
  },
}

/** A project outside this repository, to see what strangers get. */
export type EmptyProject = Awaited<ReturnType<typeof createEmptyProject>>

/** A project outside this repository, which sees only what is installed in it. `remove` ends what was started. */
export const createEmptyProject = async () => {
  const cwd = await mkdtemp(join(tmpdir(), 'empty-project-'))
  const children: ChildProcess[] = []
  const write = async (file: string, text: string) => {
    await mkdir(dirname(join(cwd, file)), { recursive: true })
    await writeFile(join(cwd, file), text)
  }
  await write('package.json', JSON.stringify(packageJson))
  await write('tsconfig.json', JSON.stringify(tsconfig))
  return {
    write,
    install: async (packages: readonly string[]) => {
      const options = ['--save-exact', '--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund']
      await run('npm', ['install', ...options, ...packages], { cwd })
    },
    /** Where a package lies, installed or not. */
    folderOf: (name: string) => join(cwd, 'node_modules', name),
    /** Takes the compiler's own options for a new project, which are stricter in some ways. */
    initTypes: async () => {
      await rm(join(cwd, 'tsconfig.json'))
      await run(process.execPath, ['node_modules/typescript/bin/tsc', '--init'], { cwd })
    },
    /** What the compiler says of all that was written; nothing, if it is right. */
    typeFaults: (...options: string[]): Promise<string> =>
      new Promise((resolve) => {
        execFile(
          process.execPath,
          ['node_modules/typescript/bin/tsc', '--noEmit', ...options],
          { cwd },
          (error, stdout) => resolve(error === null ? '' : `${error.message}${stdout}`),
        )
      }),
    /** Runs a program to its end; what it wrote. */
    run: async (file: string, env: NodeJS.ProcessEnv, ...args: string[]): Promise<string> =>
      (await run(process.execPath, [file, ...args], { cwd, env })).stdout,
    /** Starts a program; its lines as they come. */
    start: (file: string, env: NodeJS.ProcessEnv, ...args: string[]) => {
      const child = spawn(process.execPath, [file, ...args], { cwd, env, stdio: ['ignore', 'pipe', 'inherit'] })
      children.push(child)
      const lines: string[] = []
      createInterface(child.stdout).on('line', (line) => lines.push(line))
      return { child, lines, exited: once(child, 'close').then(() => child.exitCode) }
    },
    remove: async () => {
      for (const child of children) {
        if (child.exitCode !== null || child.signalCode !== null) continue
        child.kill('SIGKILL')
        await once(child, 'exit')
      }
      await rm(cwd, { recursive: true })
    },
  }
}
