/** The answer of a bench: ours beside the control of the same run, and whether that is what is held. */
export type Verdict = {
  ours: number
  /** Null where the number to hold stands for itself. */
  control: number | null
  /** Ours to the control, or null without one. */
  ratio: number | null
  hold: number
  held: boolean
  /** Everything else that was measured, units in the names. */
  [figure: string]: unknown
}

/** What a bench gives to be printed. */
export type Report = { table: string; verdict: Verdict }
