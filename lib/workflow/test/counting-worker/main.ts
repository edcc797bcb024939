import { runWorker } from '../../src/index.ts'
import { functionOf } from '../engine.ts'

/** A worker process with a function that counts what it is given. */
process.exitCode = await runWorker(
  {
    name: 'counting',
    settings: {},
    serve: (_config, { count }) => ({
      functions: [
        functionOf('Count.payloads', ({ payload }) => {
          count('esteira_payloads_total', { kind: typeof payload })
          if (payload === 'bad') throw Object.assign(new Error('bad'), { final: true })
          return payload
        }),
      ],
    }),
  },
  process.env,
)
