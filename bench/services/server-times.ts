import { readdir, readFile, readlink } from 'node:fs/promises'
import * as z from 'zod'
import type { Place } from './open-place.ts'
import { readProcess } from './read-process.ts'

/** The processes of the servers by their pids: what each is for, and its time on a CPU so far, microseconds. */
export type ServerTimes = ReadonlyMap<number, { name: string; us: number }>

/** Sessions that have ended are known to the postmaster alone. */
const ended = 'Postgres: ended sessions'

/**
 * Looks at the processes of Postgres, those of its sessions by their application's name, and at RabbitMQ's. Linux only, and
 * what is on this machine: one elsewhere is missing.
 */
export const readServers = async ({ admin, db, rabbitmqUrl }: Place): Promise<ServerTimes> => {
  // This process looks all the time whether the work is done, over a session of its own.
  const { rows: looking } = await db.query('select pg_backend_pid() as pid')
  const { rows } = await admin.query(
    `select pid, 'Postgres: ' || coalesce(nullif(application_name, ''), backend_type) as name from pg_stat_activity
     where pid <> $1 and pid <> pg_backend_pid()`,
    [z.tuple([z.object({ pid: z.int() })]).parse(looking)[0].pid],
  )
  const times = new Map<number, { name: string; us: number }>()
  const note = async (pid: number, name: string): Promise<void> => {
    // It may have ended meanwhile, or be elsewhere.
    const found = await readProcess(pid).catch(() => null)
    if (found !== null) times.set(pid, { name, us: found.cpuMs * 1_000 })
  }
  await Promise.all(
    z
      .array(z.object({ pid: z.int(), name: z.string() }))
      .parse(rows)
      .map((row) => note(row.pid, row.name)),
  )
  const [[session = 0] = []] = times
  const postmaster = (await statOf(session))?.parent
  if (postmaster !== undefined) times.set(postmaster, { name: ended, us: (await statOf(postmaster))?.childrenUs ?? 0 })
  const rabbitmq = await listenerOn(Number(new URL(rabbitmqUrl).port || 5672))
  if (rabbitmq !== null) await note(rabbitmq, 'RabbitMQ')
  return times
}

/** The time that each kind of process took between two looks, microseconds. */
export const timesBetween = (before: ServerTimes, after: ServerTimes): Map<string, number> => {
  const spent = new Map<string, number>()
  for (const [pid, { name, us }] of after) {
    spent.set(name, (spent.get(name) ?? 0) + us - (before.get(pid)?.us ?? 0))
  }
  // What a session that has ended took before the first look is in the postmaster's sum as well.
  for (const [pid, { us }] of before) if (!after.has(pid)) spent.set(ended, (spent.get(ended) ?? 0) - us)
  return spent
}

/** A tick of the kernel's clock, in which the times of ended children are counted. */
const tickUs = 10_000

const statOf = async (pid: number): Promise<{ parent: number; childrenUs: number } | undefined> => {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // The name, in brackets, may have blanks.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields.length < 15
    ? undefined
    : { parent: Number(fields[1]), childrenUs: (Number(fields[13]) + Number(fields[14])) * tickUs }
}

/** The process that listens on a port. */
const listenerOn = async (port: number): Promise<number | null> => {
  const tables = await Promise.all(['tcp', 'tcp6'].map((name) => readFile(`/proc/net/${name}`, 'utf8').catch(() => '')))
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const listening = tables
    .flatMap((text) => text.split('\n'))
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local = '', , state]) => local.endsWith(suffix) && state === '0A')
    .map((fields) => `socket:[${fields[9]}]`)
  const sockets = new Set(listening)
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue
    const files = await readdir(`/proc/${pid}/fd`).catch(() => [])
    const links = await Promise.all(files.map((file) => readlink(`/proc/${pid}/fd/${file}`).catch(() => '')))
    if (links.some((link) => sockets.has(link))) return Number(pid)
  }
  return null
}
