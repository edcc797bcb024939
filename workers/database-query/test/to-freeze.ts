import { openConnections } from '../src/connections.ts'
import { databaseQuery } from '../src/database-query.ts'
import { callQuery, keepingLog } from './call-query.ts'

/**
 * The function as a process of its own, for one job with a statement. It says what that was given: a wait, or the error's
 * code. Arguments: the address of the database, how long the server waits for a silent worker, the job, the statement.
 */
const [url = '', silentMs = '', jobId = '', sql = ''] = process.argv.slice(2)
const log = keepingLog([])
const connections = openConnections(new Map([['crm', url]]), log, { silentMs: Number(silentMs) })
const given = await callQuery(databaseQuery(connections), log, { sql }, { jobId }).catch((error: unknown) => error)
await connections.close()
process.stdout.write(JSON.stringify(given))
