import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** The API's token of a data folder: made at the first start, the same from then on, readable by its owner only. */
export const adminTokenOf = (dataDir: string): string => {
  const file = join(dataDir, 'admin-token')
  if (!existsSync(file)) writeFileSync(file, `${randomBytes(24).toString('base64url')}\n`, { mode: 0o600 })
  return readFileSync(file, 'utf8').trim()
}
