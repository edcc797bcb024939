import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cases, type ModelCase } from './cases.ts'

const run = promisify(execFile)
/** What an assertion of the model looks like in spin's words, by the property that it states. */
const assertions = {
  ORDER: /rank\[/,
  ONCE: /\|\|excused/,
  KEPT: /^published\[/,
  ASLEEP: /committed\[/,
  TWICE: /alive/,
  ENDED: /ends<=/,
  FOUND: /^over$/,
  LEFT: /early==0/,
  OVER: /ended==told/,
}

/**
 * The search of one case takes seconds; one that takes minutes has grown beyond what is checked at every change. Of the
 * CPU, so that whatever else the machine does is no fault of the model.
 */
const mostCpuSeconds = 240

type Verdict = { property: string; states: string; seconds: number }

/** Explores every state that the case can reach, up to the first one in which a property does not hold. */
const explore = async ({ name, model, flags, breaks, deep }: ModelCase): Promise<Verdict> => {
  const startedMs = performance.now()
  const folder = await mkdtemp(join(tmpdir(), 'esteira-model-'))
  try {
    await run('spin', ['-a', ...flags, join(import.meta.dirname, `${model}.pml`)], { cwd: folder })
    await (breaks === 'none' ? compileToSearch(folder, deep) : compileToFind(folder))
    const { stdout } = await search(folder, name, breaks === 'none' ? 24 : 20)
    return {
      property: brokenProperty(stdout),
      states: /(\S+) states, stored/.exec(stdout)?.[1] ?? '?',
      seconds: Math.round((performance.now() - startedMs) / 100) / 10,
    }
  } finally {
    await rm(folder, { recursive: true })
  }
}

const options = ['-DSAFETY', '-DMEMLIM=6000', '-o', 'pan', 'pan.c']

/**
 * For millions of states. More than -Og takes longer to compile than it saves, but of ten million, which are 1.5 GB as they
 * are, and a third slower to search when they are packed into 0.6.
 */
const compileToSearch = async (cwd: string, deep: boolean): Promise<void> => {
  await run('gcc', [...(deep ? ['-O2', '-DCOLLAPSE'] : ['-Og']), ...options], { cwd })
}

/** For what fails, which is found sooner than gcc would have compiled its search. */
const compileToFind = async (cwd: string): Promise<void> => {
  try {
    await run('tcc', options, { cwd })
  } catch (error) {
    if (!isMissing(error)) throw error
    await run('gcc', ['-O0', ...options], { cwd })
  }
}

const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT'

/** With so many bits of a hash table of states to begin with. */
const search = async (cwd: string, name: string, tableBits: number): Promise<{ stdout: string }> => {
  try {
    return await run('sh', ['-c', `ulimit -t ${mostCpuSeconds} && exec ./pan -E -m100000 -w${tableBits}`], { cwd })
  } catch (cause) {
    const wasCut = cause instanceof Error && 'signal' in cause && ['SIGXCPU', 'SIGKILL'].includes(String(cause.signal))
    const what = wasCut ? `not searched through within ${mostCpuSeconds} s of the CPU` : String(cause)
    throw new Error(`${name}: ${what}`, { cause })
  }
}

const brokenProperty = (output: string): string => {
  if (/max search depth too small|out of memory/.test(output)) throw new Error(`the search was cut short:\n${output}`)
  if (/errors: 0/.test(output)) return 'none'
  const violated = /assertion violated (.*) \(at depth/.exec(output)?.[1] ?? output
  return Object.entries(assertions).find(([, wording]) => wording.test(violated))?.[0] ?? violated
}

const chosen = cases.filter(({ deep }) => !deep || process.argv.includes('--deep'))
const waiting = [...chosen]
let wrong = 0

const work = async (): Promise<void> => {
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const { property, states, seconds } = await explore(next)
    const ok = property === next.breaks
    if (!ok) wrong += 1
    const found = property === 'none' ? 'every property holds' : `${property} fails`
    process.stdout.write(
      `${ok ? 'ok  ' : 'WRONG'} ${next.name}: ${found}${ok ? '' : `, expected: ${next.breaks}`} (${states} states, ${seconds} s)\n`,
    )
  }
}

try {
  await Promise.all([work(), work()])
  process.stdout.write(`${chosen.length - wrong} of ${chosen.length} as expected\n`)
  process.exitCode = wrong === 0 ? 0 : 1
} catch (error) {
  process.stderr.write(
    isMissing(error) ? 'the model needs spin and gcc: apt-get install spin gcc tcc libc6-dev\n' : `${String(error)}\n`,
  )
  process.exitCode = 1
}
