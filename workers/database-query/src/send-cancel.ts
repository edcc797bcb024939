import type { Client } from 'pg'

/** A session of the server by its number there, and the key that whoever cancels it has to know. */
export type SessionKey = { processID: number; secretKey: number }

/**
 * Asks the server to cancel what a session is at, over a link that is opened for it and needs no login: so it gets
 * through where no further session is to be had, and a pooler passes it on to the server. `link` is not connected yet.
 *
 * @throws what its link fails with.
 */
export const sendCancel = async (
  link: Client,
  { processID, secretKey }: SessionKey,
  deadlineMs: number,
): Promise<void> => {
  const { connection, host, port, ssl } = link
  const over = Promise.withResolvers<void>()
  const deadline = setTimeout(() => over.reject(new Error(`no answer within ${deadlineMs} ms`)), deadlineMs)
  const ask = () => connection.cancel(processID, secretKey)
  connection.on('connect', () => {
    if (!ssl) ask()
    else if (connection.sslNegotiation !== 'direct') connection.requestSsl()
  })
  connection.on('sslconnect', ask)
  connection.on('error', over.reject)
  // It is the server's only answer.
  connection.on('end', () => over.resolve())
  try {
    if (host.startsWith('/')) connection.connect(`${host}/.s.PGSQL.${port}`)
    else connection.connect(port, host)
    await over.promise
  } finally {
    clearTimeout(deadline)
    connection.stream.destroy()
  }
}
