import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'

const peakMemory = new URL('peak-memory.ts', import.meta.url)

const sayPeak = `import { peakMemoryMiB } from '${peakMemory.href}'; process.stdout.write(String(peakMemoryMiB()))`

test('the memory of a program is its own, and not that of the large process that started it', () => {
  const held = Buffer.alloc(400 * 1_024 * 1_024, 1)
  const peakMiB = Number(
    execFileSync(process.execPath, ['--input-type=module', '--eval', sayPeak], { encoding: 'utf8' }),
  )
  expect(process.memoryUsage.rss()).toBeGreaterThan(held.byteLength)
  expect(peakMiB).toBeGreaterThan(10)
  expect(peakMiB).toBeLessThan(200)
})
