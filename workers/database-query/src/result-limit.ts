import { DatabaseQueryError } from './errors.ts'

/** What may have so many bytes as JSON: the whole result where that is one value, else each of its rows. */
export type ResultLimit = { of: 'result' | 'row'; mostBytes: number }

/**
 * Refuses what would not fit into a payload, where that can still be undone: it is called with what each row of a result has
 * as JSON.
 *
 * @throws DatabaseQueryError `result_too_large`
 */
export const within = ({ of, mostBytes }: ResultLimit): ((bytes: number) => void) => {
  let rows = 0
  // A bracket; the other one is counted below, in place of the comma that the last row has not.
  let allBytes = 1
  return (bytes) => {
    rows += 1
    // A comma each.
    allBytes += bytes + 1
    if ((of === 'row' ? bytes : allBytes) > mostBytes) throw tooLarge({ of, mostBytes }, rows)
  }
}

/**
 * What a row may have as the server sends it, bytes, to be read at all: lists of small values take some twenty times as much
 * once they are. As JSON it has about as much, but for the spaces in it.
 */
const mostTextOf = ({ mostBytes }: ResultLimit): number => 4 * mostBytes

/**
 * Refuses a row before it is read that cannot fit into a payload.
 *
 * @throws DatabaseQueryError `result_too_large`
 */
export const refuseText = (limit: ResultLimit, bytes: number): void => {
  const most = mostTextOf(limit)
  if (bytes <= most) return
  throw new DatabaseQueryError(
    'result_too_large',
    `config.sql gives a row of more than ${most.toLocaleString('en-US')} bytes as text; nothing is written or passed ` +
      'on: select less of it, or raise ESTEIRA_MAX_PAYLOAD_BYTES',
  )
}

const tooLarge = ({ of, mostBytes }: ResultLimit, rows: number): DatabaseQueryError => {
  const bytes = `${mostBytes.toLocaleString('en-US')} bytes as JSON`
  const [fault, advice] =
    of === 'row'
      ? [`a row of more than ${bytes}`, 'select less of it']
      : [
          `more than ${bytes}, after ${rows.toLocaleString('en-US')} rows`,
          'set outputType "multiple" and a next step, so that each row is a job, select less',
        ]
  return new DatabaseQueryError(
    'result_too_large',
    `config.sql gives ${fault}; nothing is written or passed on: ${advice}, or raise ESTEIRA_MAX_PAYLOAD_BYTES`,
  )
}
