import { getHeapStatistics } from 'node:v8'

/** Items of a page at most: enough to be cheap, and few enough that others do not wait long for the counters. */
export const defaultPageItems = 2_000

/** Bytes of a page, as JSON. Two are in memory for each job at a time, while all jobs together have room for that. */
export const mostBytes = 1024 * 1024

/**
 * Bytes of the items that all jobs of a process have in memory together: sixteen with two full pages, or some hundreds with
 * smaller ones. With a small heap it is an eighth of that, as what is written is there several times for a moment.
 */
export const pageMemoryBytes = (): number =>
  Math.min(32 * 1024 * 1024, Math.floor(getHeapStatistics().heap_size_limit / 8))

/** A page that has a cursor is written when it is so old, milliseconds: what a kill costs is read again. */
export const ageMs = 1_000

/** Five minutes: far below the half hour after which RabbitMQ takes a delivery back. */
export const defaultContinueMs = 5 * 60_000

/** A delivery has its step's time; a job goes on in a new one when half of that is left to end this one within. */
export const continueMsOf = (continueMs: number, timeoutMs: number): number => Math.min(continueMs, timeoutMs / 2)
