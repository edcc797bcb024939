import { startWay } from './start-way.ts'

/** A way to Postgres on which the answer to the first statement of this name comes so much later. */
export const startSlowProxy = async (databaseUrl: string, { statement = '', delayMs = 0 }) => {
  let isDelayed = false
  return startWay(databaseUrl, (client, postgres) => {
    client.on('data', (bytes) => {
      if (!isDelayed && bytes.includes(statement)) {
        isDelayed = true
        postgres.pause()
        setTimeout(() => postgres.resume(), delayMs)
      }
      postgres.write(bytes)
    })
    postgres.on('data', (bytes) => client.write(bytes))
    postgres.on('close', () => client.destroy())
  })
}
