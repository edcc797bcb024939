import { peakMemoryMiB } from '@esteira/test/peak-memory'
import { openConnections } from '../src/connections.ts'
import { databaseQuery } from '../src/database-query.ts'
import { aContext, keepingLog } from './call-query.ts'

/**
 * The function as a process of its own, that reads rows of some 200 bytes and gives them on to somebody who
 * keeps none. It says how many came, and the most memory that was resident. Arguments: the address of the database, how
 * many rows.
 */
const log = keepingLog([])
const [url = '', count = ''] = process.argv.slice(2)
const connections = openConnections(new Map([['crm', url]]), log)
let rows = 0
await databaseQuery(connections).fn.call({
  ...aContext(log, { outputType: 'multiple', hasNext: true }),
  config: {
    connection: 'crm',
    sql: `select n as id, 'lead ' || n as name, repeat('x', 170) as text from generate_series(1, $1) n`,
    params: [count],
  },
  emit: async (items) => {
    rows += items.length
  },
})
await connections.close()
process.stdout.write(JSON.stringify({ rows, peakMiB: peakMemoryMiB() }))
