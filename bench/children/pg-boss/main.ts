import { PgBoss } from 'pg-boss'
import { jobPayload, jobTaskSchema, startJobClock, untilGo } from '../job-messages.ts'

/** pg-boss fetching and completing a backlog in batches: the fastest that its public interface allows. */
const { databaseUrl, jobs, inHand } = jobTaskSchema.parse(JSON.parse(process.argv[2] ?? ''))
const queue = `no-op-${process.pid}`
const total = jobs ?? 0
const atATime = 1_000

const boss = new PgBoss({ connectionString: databaseUrl, supervise: false, schedule: false })
boss.on('error', (error) => process.stderr.write(`${error.message}\n`))
await boss.start()
await boss.createQueue(queue)
for (let first = 0; first < total; first += atATime) {
  const count = Math.min(atATime, total - first)
  await boss.insert(
    queue,
    Array.from({ length: count }, (_, index) => ({ data: jobPayload(first + index) })),
  )
}
await untilGo()
const done = startJobClock()
let completed = 0
while (completed < total) {
  const fetched = await boss.fetch(queue, { batchSize: inHand })
  if (fetched.length === 0) throw new Error(`${total - completed} jobs are not there to be fetched`)
  await boss.complete(
    queue,
    fetched.map(({ id }) => id),
  )
  completed += fetched.length
}
done(completed)
await boss.stop()
