import { expect, test, vi } from 'vitest'

/** Node has it, and its types do not. */
declare const WebAssembly: { instantiate: (...given: unknown[]) => Promise<unknown> }

test('the grammar is compiled once, however many wait for it', async () => {
  // Another test of this process may have loaded it.
  vi.resetModules()
  const { loadSql } = await import('./grammar.ts')
  const compiled = vi.spyOn(WebAssembly, 'instantiate')
  await Promise.all(Array.from({ length: 20 }, () => loadSql()))
  expect(compiled).toHaveBeenCalledOnce()
})
