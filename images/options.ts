import { parseArgs } from 'node:util'
import { didYouMean } from '@esteira/service'

/** What `npm run images` was asked for. */
export type Options = {
  prefix: string
  tag: string
  /** Null takes the Dockerfile's, 'own' makes one of this machine. */
  base: string | null
  /** A folder for an archive of each image. */
  archives: string | null
  /** What the images and their files say of when they were made, seconds since 1970. */
  epoch: number
}

/** The options as they were read, or every problem with them, a line each. */
export type ReadOptions = { ok: true; options: Options } | { ok: false; problems: string[] }

const known = {
  prefix: { type: 'string' },
  tag: { type: 'string' },
  base: { type: 'string' },
  archives: { type: 'string' },
} as const

const names = Object.keys(known)

export const usage = `npm run images [-- options]

  --tag TAG       of both images (default the version in package.json)
  --prefix TEXT   before their names, such as registry.example/team/ (default localhost/)
  --base IMAGE    what both are built on (default distroless with Node 24);
                  "own" makes one of the Node and the libraries of this machine, without a registry
  --archives DIR  write an archive of each there, which containerd and Docker import

SOURCE_DATE_EPOCH says when they were made, in seconds since 1970 (default 0).
`

/** Reads the words behind `npm run images --`, and the time that builds have in common by convention. */
export const readOptions = (
  asked: readonly string[],
  { version, sourceDateEpoch = '0' }: { version: string; sourceDateEpoch?: string | undefined },
): ReadOptions => {
  const { tokens, values } = parseArgs({ args: [...asked], options: known, strict: false, tokens: true })
  const problems = tokens.flatMap((token) => {
    if (token.kind === 'positional') return [`"${token.value}" is not an option, options begin with --`]
    if (token.kind !== 'option') return []
    if (!names.includes(token.name)) {
      return [
        `${token.rawName} is not an option${didYouMean(
          `--${token.name}`,
          names.map((name) => `--${name}`),
        )}`,
      ]
    }
    return token.value === undefined || token.value === '' ? [`${token.rawName} needs a value`] : []
  })
  // https://reproducible-builds.org/docs/source-date-epoch/
  if (!/^\d{1,10}$/.test(sourceDateEpoch)) {
    problems.push(`SOURCE_DATE_EPOCH: expected seconds since 1970, "${sourceDateEpoch}" is not`)
  }
  const given = (name: keyof typeof known): string | null => {
    const value = values[name]
    return typeof value === 'string' ? value : null
  }
  const options: Options = {
    prefix: given('prefix') ?? 'localhost/',
    tag: given('tag') ?? version,
    base: given('base'),
    archives: given('archives'),
    epoch: Number(sourceDateEpoch),
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, options }
}
