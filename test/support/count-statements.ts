import { Client } from 'pg'
import { onTestFinished, vi } from 'vitest'

/** Counts the statements with a word in them that this process sends to Postgres from now on, until the test ends. */
export const countStatements = (word: string): (() => number) => {
  const sent = vi.spyOn(Client.prototype, 'query')
  onTestFinished(() => sent.mockRestore())
  // Asked again, the spy is the one that is there.
  const before = sent.mock.calls.length
  return () => sent.mock.calls.slice(before).filter(([statement]) => textOf(statement).includes(word)).length
}

/** It comes as a text, or as an object that has it. */
const textOf = (statement: unknown): string => {
  if (typeof statement === 'string') return statement
  const hasText = typeof statement === 'object' && statement !== null && 'text' in statement
  return hasText ? String(statement.text) : ''
}
