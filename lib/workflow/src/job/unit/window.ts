/**
 * How many jobs of one run and step are on the belt at most, unless said otherwise. Another run's job waits in the queue
 * behind that many: docs/decisions/0013 has the figures.
 */
export const defaultWindow = 2_000

/** A step is filled up again when half of its window is free: seldom, and before it runs dry. */
export const lowWater = (window: number): number => Math.floor(window / 2)
