import { connect } from 'node:net'
import { connect as connectSecurely } from 'node:tls'
import { askUntil } from '../ask-until.ts'

/** Asks a broker once for its first frame, for two seconds at most. Whether it knows the user is not asked. */
export const askRabbitmq = (url: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const { protocol, hostname, port } = new URL(url)
    const secure = protocol === 'amqps:'
    const host = hostname.replace(/^\[(.*)\]$/, '$1')
    const target = { host, port: Number(port === '' ? (secure ? 5671 : 5672) : port) }
    const socket = secure ? connectSecurely({ ...target, servername: host }) : connect(target)
    const end = (error?: Error) => {
      socket.destroy()
      if (error === undefined) resolve()
      else reject(error)
    }
    socket.setTimeout(2_000, () => end(new Error('no answer within 2 s')))
    socket.once('error', end)
    socket.once('close', () => end(new Error('the connection was closed')))
    socket.once(secure ? 'secureConnect' : 'connect', () => socket.write(greeting))
    socket.once('data', (data) => {
      // A method frame (type 1), Connection.Start; a broker that speaks another version answers with its own greeting.
      end(data[0] === 1 ? undefined : new Error('it does not speak AMQP 0-9-1'))
    })
  })

const greeting = Buffer.from('AMQP\0\0\x09\x01', 'latin1')

/**
 * Asks until the broker listens on a port, or the signal is aborted. The management API is asked, with the user that
 * the address holds: the broker would log a warning for each connection that comes and goes without a word.
 */
export const rabbitmqAnswers = (managementUrl: string, port: number, signal: AbortSignal): Promise<void> =>
  askUntil(() => askManagement(managementUrl, `health/checks/port-listener/${port}`), 80, signal)

const askManagement = async (managementUrl: string, path: string): Promise<void> => {
  const { username, password, origin } = new URL(managementUrl)
  const response = await fetch(`${origin}/api/${path}`, {
    headers: { authorization: `Basic ${btoa(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`)}` },
    signal: AbortSignal.timeout(2_000),
  })
  await response.body?.cancel()
  if (!response.ok) throw new Error(`the management API answered ${response.status} to ${path}`)
}
