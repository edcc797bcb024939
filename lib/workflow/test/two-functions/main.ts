import { runWorker } from '../../src/index.ts'
import { functionOf } from '../engine.ts'

/** A worker process with two functions, of which one never ends, whatever its signal says. */
const hang = functionOf('Two.hang', () => new Promise(() => undefined))
const quick = functionOf('Two.quick', () => 'done')

process.exitCode = await runWorker([hang, quick], process.env)
