/** The first two numbers of a version. */
export type MinorVersion = { major: number; minor: number }

/** Reads `v1.34.4`, `1.34`, `go1.26.8` and the like. @throws when there are no two numbers in it. */
export const minorOf = (version: string): MinorVersion => {
  const [, major, minor] = /(\d+)\.(\d+)/.exec(version) ?? []
  if (major === undefined || minor === undefined) throw new Error(`${JSON.stringify(version)} is no version`)
  return { major: Number(major), minor: Number(minor) }
}

export const isAtLeast = (version: MinorVersion, least: MinorVersion): boolean =>
  version.major === least.major ? version.minor >= least.minor : version.major > least.major
