import { resolve } from 'node:path'

const usual = resolve(import.meta.dirname, '../../../.esteira')

/** The folder for data and logs: the one that was asked for, as seen from `from`, or `.esteira` beside the code. */
export const dataFolderOf = (asked: string | null, from: string): string =>
  asked === null ? usual : resolve(from, asked)
