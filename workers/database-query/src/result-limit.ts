import { DatabaseQueryError } from './errors.ts'

/** What may have so many bytes as JSON: the whole result where that is one value, else each of its rows. */
export type ResultLimit = { of: 'result' | 'row'; mostBytes: number }

/**
 * Refuses what would not fit into a payload, where that can still be undone.
 *
 * @throws DatabaseQueryError `result_too_large`
 */
export const checkBytes = ({ of, mostBytes }: ResultLimit, rows: readonly unknown[]): void => {
  const values = of === 'row' ? rows : [rows]
  if (values.some((value) => Buffer.byteLength(JSON.stringify(value)) > mostBytes)) {
    throw tooLarge({ of, mostBytes }, rows.length)
  }
}

/** What a statement ends with that has given so many rows, which are more than its limit takes. */
export const tooLarge = ({ of, mostBytes }: ResultLimit, rows: number): DatabaseQueryError => {
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
