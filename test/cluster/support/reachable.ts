import { inspect } from 'node:util'
import { startRdStation, type RunningRdStation } from '@esteira/dev/rd-station'
import {
  createVhost,
  emptyDatabase,
  openBroker,
  runOn,
  startProxy,
  unconservedIn,
  type Broker,
  type Proxy,
} from '@esteira/test/support'
import { Client } from 'pg'
import { inject } from 'vitest'
import { machineAddress } from '../node/use-node.ts'
import { waitInCluster } from './wait-in-cluster.ts'

/** What a release needs beside itself. It stands on this machine, and pods reach it by ways that a test can break. */
export type Reachable = {
  ways: {
    /** An empty database for workflows, of a user who may do everything. */
    database: Proxy
    /** The target database, the connection `crm`. */
    crm: Proxy
    rabbitmq: Proxy
    /** Its management plugin, with the virtual host as path. */
    management: Proxy
    rdStation: Proxy
  }
  rdStation: RunningRdStation
  /** Reached by no such way. */
  broker: Broker
  /** Rows of the database of workflows. */
  sql: (text: string) => Promise<unknown[]>
  /** Rows of the target database. */
  crm: (text: string) => Promise<unknown[]>
  /** Runs a statement on the target database in a transaction that lasts until it is let go. */
  holdCrm: (text: string) => Promise<() => Promise<void>>
  /** Waits until no message is in the outbox. */
  allPublished: () => Promise<void>
  /**
   * Drops everything; whoever uses it has ended.
   *
   * @throws for what was lost, doubled or miscounted.
   */
  drop: () => Promise<void>
}

export type ReachableOptions = {
  /** How many each segmentation has. */
  leads: number
  /** Run on the empty target database. */
  crmSql: string
}

/** Makes databases and a virtual host on the servers of the run, starts the RD Station stand-in, and a way to each. */
export const startReachable = async ({ leads, crmSql }: ReachableOptions): Promise<Reachable> => {
  const [database, target, vhost, rdStation] = await Promise.all([
    emptyDatabase(),
    emptyDatabase(),
    createVhost(),
    startRdStation({ leads, rateLimitPerMinute: null }),
  ])
  await runOn(target.url, crmSql)
  const wayTo = (url: string): Promise<Proxy> => startProxy(url, { host: machineAddress() })
  const ways = {
    database: await wayTo(database.url),
    crm: await wayTo(target.url),
    rabbitmq: await wayTo(vhost.url),
    management: await wayTo(new URL(new URL(vhost.url).pathname, inject('stack').managementUrl).href),
    rdStation: await wayTo(rdStation.url),
  }
  const broker = await openBroker(vhost.url)
  const sql: Reachable['sql'] = (text) => runOn(database.url, text)
  const inOutbox = `
    select (select count(*)::int from outbox_message) as messages,
           (select count(*)::int from outbox_scheduled) as scheduled`
  return {
    ways,
    rdStation,
    broker,
    sql,
    crm: (text) => runOn(target.url, text),
    holdCrm: async (text) => {
      const client = new Client({ connectionString: target.url })
      await client.connect()
      await client.query(`begin; ${text}`)
      let ended: Promise<void> | undefined
      return () => (ended ??= client.end())
    },
    allPublished: async () => {
      await waitInCluster(async () => inspect(await sql(inOutbox)) === inspect([{ messages: 0, scheduled: 0 }]), {
        deadlineMs: 60_000,
        describe: () => sql(inOutbox),
      })
    },
    drop: async () => {
      await Promise.all(Object.values(ways).map((way) => way.stop()))
      const unconserved = await unconservedIn(database.url)
      await Promise.all([broker.close(), rdStation.stop()])
      await Promise.all([database.drop(), target.drop(), vhost.drop()])
      if (unconserved.length > 0) throw new Error(`lost, doubled or miscounted: ${inspect(unconserved)}`)
    },
  }
}
