import { expect, test, vi } from 'vitest'
import { loadSql } from './grammar.ts'

/** Node has it, and its types do not. */
declare const WebAssembly: { instantiate: (...given: unknown[]) => Promise<unknown> }

test('the grammar is compiled once, however many wait for it', async () => {
  const compiled = vi.spyOn(WebAssembly, 'instantiate')
  await Promise.all(Array.from({ length: 20 }, () => loadSql()))
  expect(compiled).toHaveBeenCalledOnce()
})
