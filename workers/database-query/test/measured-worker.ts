import { peakMemoryMiB } from '@esteira/test/peak-memory'

/** The worker as it ships, that says in its last line the most memory that it has had resident. */
process.once('exit', () => {
  process.stdout.write(`${JSON.stringify({ peakMiB: peakMemoryMiB() })}\n`)
})

await import('../src/main.ts')
