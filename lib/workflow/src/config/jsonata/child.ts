import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { createContext, runInContext, Script } from 'node:vm'
import { limits } from './limits.ts'
import { whyNotJson } from './not-json.ts'
import { zoneFault, zonePattern } from './time-zone.ts'

/**
 * The process in which expressions are evaluated that could take their time or memory. It has no environment, reads
 * nothing, and ends with the worker that started it. A turn of it is a group of expressions within one time.
 */

/** What is asked: expressions, each with its scope as JSON. */
type Asked = { sources: string[]; scopes: string[] }

/** Where both sides of the context meet; only texts cross, and the look at what an expression gave. */
type Desk = Asked & { answers: string[] }

/** A date of JavaScript is so far from 1970 at most. */
const mostMillis = 8.64e15

const context = createContext(
  // JSONata's $base64encode looks for it there.
  { global: { Buffer }, whyNotJson, mostMillis },
  // What an expression awaits is run before `runInContext` returns, so the time holds for all of it.
  { microtaskMode: 'afterEvaluate', codeGeneration: { strings: false, wasm: false } },
)

const inContext = `
  const compiled = new Map()
  const desk = { sources: [], scopes: [], answers: [] }

  let own
  module.exports('$fromMillis').evaluate().then((found) => (own = found.implementation))

  // The library writes "0NaN-NaN-NaNTNaN:NaN:NaN.NaNZ" of a time that no date has.
  // With one parameter, so that $map gives it nothing else.
  const fromMillis = function (millis, ...others) {
    const [, zone] = others
    if (zone !== undefined && !${String(zonePattern)}.test(zone)) throw ${JSON.stringify(zoneFault)}
    if (millis !== undefined && !(Math.abs(millis) <= mostMillis)) {
      throw { code: 'time', message: 'The argument of the fromMillis function must be within ' + mostMillis + ' ms of 1970' }
    }
    return own.call(this, millis, ...others)
  }
  const now = function (picture, zone) {
    return fromMillis.call(this, this.environment.timestamp.getTime(), picture, zone)
  }

  const read = (source) => {
    if (!compiled.has(source)) {
      if (compiled.size >= 1_000) compiled.clear()
      const expression = module.exports(source, ${JSON.stringify({ stack: limits.stack, sequence: limits.sequence })})
      expression.registerFunction('fromMillis', fromMillis, '<n-s?s?:s>')
      expression.registerFunction('now', now, '<s?s?:s>')
      compiled.set(source, expression)
    }
    return compiled.get(source)
  }

  const answer = async (source, scope) => {
    try {
      const value = await read(source).evaluate(JSON.parse(scope))
      const unfit = whyNotJson(value)
      if (unfit !== undefined) return JSON.stringify({ fault: { code: 'unfit', message: unfit } })
      const text = JSON.stringify({ value })
      if (text.length <= ${limits.resultLength}) return text
      return JSON.stringify({ fault: { code: 'long', message: 'it gives more than ${limits.resultLength} characters' } })
    } catch ({ name, code, message, position, ...rest }) {
      // What the library did not mean to throw may have any value in its message.
      if (code === undefined) return JSON.stringify({ fault: { name } })
      return JSON.stringify({ fault: { code, message, position, ...('value' in rest ? { value: null } : {}) } })
    }
  }

  const work = async ({ sources, scopes, answers }) => {
    for (const [index, source] of sources.entries()) answers.push(await answer(source, scopes[index]))
  }

  desk
`

const library = readFileSync(fileURLToPath(import.meta.resolve('jsonata')), 'utf8')
runInContext(`var module = { exports: {} }, exports = module.exports;\n${library}`, context)
const desk: Desk = runInContext(inContext, context)
const work = new Script('void work({ ...desk })')

/** Evaluates one after the other until all are through or the time is up. */
const evaluate = (asked: Asked): { answers: string[]; inTime: boolean } => {
  const answers: string[] = []
  Object.assign(desk, asked, { answers })
  try {
    work.runInContext(context, { timeout: limits.apartMs })
    return { answers, inTime: true }
  } catch {
    return { answers, inTime: false }
  }
}

process.on('message', (asked: Asked) => {
  process.send?.(evaluate(asked))
})

// A signal to the whole group is the worker's to answer: what it still runs may need us.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {})
