import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'

/** Who an API server knows by a token: the name and the groups. */
export type Identity = { user: string; groups?: readonly string[] }

/** Writes the file of `--token-auth-file`, and gives each its token, by the same names. */
export const writeTokens = (file: string, identities: Readonly<Record<string, Identity>>): Record<string, string> => {
  const tokens = Object.keys(identities).map((name) => [name, randomBytes(24).toString('hex')] as const)
  const lines = tokens.map(([name, token]) => {
    const { user, groups = [] } = identities[name] ?? { user: name }
    return `${token},${user},${name},"${groups.join(',')}"\n`
  })
  writeFileSync(file, lines.join(''), { mode: 0o600 })
  return Object.fromEntries(tokens)
}
