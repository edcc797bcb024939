/** What one expression may take. */
export const limits = {
  /**
   * Characters of it. JSONata's parser reads some 400 a millisecond, while the event loop of whoever saves the step, or runs
   * it first, stands still.
   */
  length: 32_768,
  /** Characters that the parser comes to, the same ones again and again: of copies it comes to 1,200 a millisecond and more. */
  reads: 262_144,
  /** How many a config may have, and their characters together: to read them takes a second then. */
  ofConfig: 1_000,
  lengthOfConfig: 262_144,
  /** And what the parser comes to in all of them: each character twice. */
  readsOfConfig: 524_288,
  /** Characters of one that is evaluated in place: a list takes the square of its items, 0.2 s where it is all of them. */
  inPlaceLength: 4_096,
  /** Milliseconds on the worker's own event loop, for an expression that is steady; one that takes longer begins anew apart. */
  inPlaceMs: 50,
  /** Milliseconds in the process apart. */
  apartMs: 1_000,
  /** Calls within calls, and forms within forms when it is read. */
  stack: 500,
  /** Items of a range or a list that is made. */
  sequence: 1_000_000,
  /** The heap of the process apart. */
  heapMiB: 128,
  /** Characters of a result as JSON: the worker parses it on its event loop, at some 20 ms a million. */
  resultLength: 4_000_000,
} as const
