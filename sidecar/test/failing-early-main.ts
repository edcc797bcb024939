/** The relay's program with a fault of its own as its session at Postgres begins: the first signal of several there throws. */
const any = AbortSignal.any.bind(AbortSignal)
AbortSignal.any = (signals) => {
  if (new Error().stack?.includes('serve.ts') !== true) return any(signals)
  AbortSignal.any = any
  throw new Error('a fault of the relay')
}
await import('../src/main.ts')
