import { Client } from 'pg'
import { onTestFinished } from 'vitest'

/** Holds what a statement locks, in a transaction of its own, until it is let go or the test is over. */
export const hold = async (url: string, sql: string): Promise<() => Promise<void>> => {
  const holder = new Client(url)
  await holder.connect()
  await holder.query(`begin; ${sql}`)
  let isHeld = true
  const letGo = async (): Promise<void> => {
    if (isHeld) await holder.end()
    isHeld = false
  }
  onTestFinished(letGo)
  return letGo
}
