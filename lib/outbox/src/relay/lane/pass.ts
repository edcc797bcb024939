/** What one pass through a lane did. */
export type Pass = {
  /** Scheduled rows that were due and are in the lane now. */
  moved: number
  /** Rows that were read and so tried. */
  read: number
  confirmed: number
  refused: number
  unknown: number
}
