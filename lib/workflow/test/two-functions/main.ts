import { runWorker } from '../../src/index.ts'
import { functionOf } from '../engine.ts'

/** A worker process with the functions that its arguments name. `hang` never ends, whatever its signal says. */
const hang = functionOf('Two.hang', () => new Promise(() => undefined))
const quick = functionOf('Two.quick', () => 'done')

const named = process.argv.slice(2).map((name) => (name === 'hang' ? hang : quick))

process.exitCode = await runWorker(named, process.env)
