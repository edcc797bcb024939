/** How the text of a column becomes a value, by the number of its type in Postgres. All others stay text. */
const parsers: Partial<Record<number, (text: string) => unknown>> = {
  /** bool */
  16: (text) => text === 't',
  /** bytea, by `bytea_output = 'hex'` */
  17: (text) => Buffer.from(text.slice(2), 'hex'),
  /** int4 */
  23: Number,
  /** json */
  114: (text) => JSON.parse(text),
  /** float8 */
  701: Number,
}

/** `pg`'s own parsers are shared by the process: one that the program sets for itself would reach into the relay. */
export const columnTypes = { getTypeParser: (type: number) => parsers[type] ?? String }
