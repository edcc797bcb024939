/** A part of `pg` that its own types do not have: what a cancel is asked with. */
export type { Client } from 'pg'

declare module 'pg' {
  interface Client {
    /** By which the server, or the pooler before it, knows this session; null where it told nothing. */
    readonly processID: number | null
    readonly secretKey: number | null
  }
  interface Connection {
    readonly sslNegotiation: 'postgres' | 'direct'
    connect(port: number | string, host?: string): void
    requestSsl(): void
    cancel(processID: number, secretKey: number): void
  }
}
