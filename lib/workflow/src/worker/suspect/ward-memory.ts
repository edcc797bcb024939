/** What a process takes beside its heap before it is taken to fill memory with buffers, MiB. At its start it is some 110. */
const besideHeapMiB = { least: 128, most: 256 }

/**
 * What a ward with such a heap may have in memory before it is killed, MiB, where all processes together may have
 * `togetherBytes`, as in a container: the half of it, so that the worker has the other. A container that is full is killed
 * as a whole, so that nobody is left who could say which job did it.
 */
export const mostOfWardMiB = (heapMiB: number, togetherBytes: number): number => {
  const halfMiB = Math.floor(togetherBytes / 2 / 1_048_576)
  const { least, most } = besideHeapMiB
  return Math.min(heapMiB + most, Math.max(heapMiB + least, halfMiB))
}
