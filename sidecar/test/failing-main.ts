/** The relay's program with a fault of its own to be had: from SIGUSR2 on whatever leaves a pause to chance throws. */
process.once('SIGUSR2', () => {
  Math.random = () => {
    throw new Error('a fault of the relay')
  }
})
await import('../src/main.ts')
