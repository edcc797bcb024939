/** How a publish ended. */
export type PublishOutcome =
  /** The broker has it, for good. */
  | { kind: 'confirmed' }
  /** The broker did not take it: it is not out. `closedChannel`: it closed the channel instead of saying so. */
  | { kind: 'refused'; reason: string; closedChannel: boolean }
  /** The link fell, or the deadline passed, before the confirm: it may be out. */
  | { kind: 'unknown'; cause: unknown }
