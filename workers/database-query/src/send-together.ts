import type { PoolClient } from 'pg'

/** Sends in one piece what is asked meanwhile: each by itself would be a write to the socket, and wake the server. */
export const sendTogether = <T>({ connection: { stream } }: PoolClient, ask: () => T): T => {
  stream.cork()
  try {
    return ask()
  } finally {
    stream.uncork()
  }
}
