export type TrialOptions = {
  /** An empty folder for the services and all logs. */
  dataDir: string
  blows: number
  /** Which blows come, and when, follows from it. */
  seed: number
  say: (line: string) => void
  /** Ends the trial before its time, which throws the signal's reason when all that it started has ended. */
  signal?: AbortSignal
}

/** What came of a trial: how much there was, and whatever was not as it must be, by kind. */
export type Trial = { figures: Record<string, number>; faults: Record<string, readonly unknown[]> }
