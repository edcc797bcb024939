/**
 * How a call to the API server ended. Only `cluster/call.ts` sees statuses.
 *
 * `missing` and `expired` are 404 and 410, `refused` is every other no, with the word for it and the sentence that the
 * server has; `later` asks to come again; `unknown` is no answer at all: what was asked may have been done.
 */
export type Answer<Value> = { kind: 'ok'; value: Value } | NoAnswer

export type NoAnswer =
  | { kind: 'missing'; words: string }
  | { kind: 'expired'; words: string }
  | { kind: 'refused'; code: string; words: string }
  | { kind: 'later'; words: string; afterMs: number }
  | { kind: 'unknown'; words: string }

/** The same answer with what is made of its value. */
export const mapAnswer = <Value, Made>(answer: Answer<Value>, make: (value: Value) => Made): Answer<Made> =>
  answer.kind === 'ok' ? { kind: 'ok', value: make(answer.value) } : answer
