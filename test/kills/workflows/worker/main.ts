import { setTimeout as pause } from 'node:timers/promises'
import { queryable } from '@esteira/outbox'
import { connections } from '@esteira/service'
import { defineFunction, page, runWorker } from '@esteira/workflow'
import * as z from 'zod'
import { openConnections } from '../../../../workers/database-query/src/connections.ts'
import { databaseQuery } from '../../../../workers/database-query/src/database-query.ts'

/** A worker as people run it, with two functions that give items, and two that write them down. */
const nothing = z.strictObject({})
const listing = z.object({ run: z.string(), items: z.int() })
const item = z.object({ run: z.string(), n: z.int() })

/** So many items are given at a time, with such a pause behind them: most kills meet a list that is half given. */
const pageItems = 20
const pagePauseMs = 150

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, index) => from + index)

/** Goes on behind its last page after a kill. */
const pages = defineFunction({
  name: 'Kills.pages',
  config: nothing,
  input: listing,
  output: z.array(item),
  cursor: z.int(),
  run: async function* ({ payload: { run, items }, cursor }) {
    for (let from = cursor ?? 0; from < items; from += pageItems) {
      const to = Math.min(from + pageItems, items)
      yield page(
        range(from, to).map((n) => ({ run, n })),
        to,
      )
      await pause(pagePauseMs)
    }
  },
})

/** Has no cursor, so a kill lets it begin anew. */
const items = defineFunction({
  name: 'Kills.items',
  config: nothing,
  input: listing,
  output: z.array(item),
  run: async function* ({ payload: { run, items: count } }) {
    for (const n of range(0, count)) {
      yield { run, n }
      if (n % (10 * pageItems) === 0) await pause(pagePauseMs)
    }
  },
})

/** Writes an item in the transaction in which its job ends. */
const save = defineFunction({
  name: 'Kills.save',
  config: nothing,
  input: item,
  unit: 'own',
  run: async ({ em, payload: { run, n } }) => {
    await queryable(em).query('insert into saved (run, n) values ($1, $2)', [run, n])
  },
})

process.exitCode = await runWorker(
  {
    name: 'kills',
    settings: { connections },
    serve: (config, { log }) => {
      const databases = openConnections(config.connections, log)
      const { fn, idle } = databaseQuery(databases)
      return {
        functions: [pages, items, save, fn],
        close: async () => {
          await idle()
          await databases.close()
        },
      }
    },
  },
  process.env,
)
