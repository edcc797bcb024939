/** The relay's program with a fault of its own in its stop: the first wait of that throws. */
const withResolvers = Promise.withResolvers.bind(Promise)
Promise.withResolvers = <T>() => {
  if (new Error().stack?.includes('at waitAndClose ') !== true) return withResolvers<T>()
  Promise.withResolvers = withResolvers
  throw new Error('a fault of the relay')
}
await import('../src/main.ts')
