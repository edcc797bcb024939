/** The ways between a cluster that is there already and this machine. */
export type GivenWays = {
  /** Where images are pushed to and pulled from, with a slash behind it. */
  registry: string
  /** Whether it is spoken to without TLS. */
  isPlain: boolean
  /** An address of this machine that pods reach. */
  host: string
}

/**
 * Reads `ESTEIRA_TEST_REGISTRY`, as `registry.example/team`, or `http://10.0.0.5:5000` for one without TLS, and
 * `ESTEIRA_TEST_HOST`. Null when there is neither: then no pod of the tests runs there.
 *
 * @throws when one is missing, or is none.
 */
export const givenWays = (env: NodeJS.ProcessEnv): GivenWays | null => {
  const registry = env['ESTEIRA_TEST_REGISTRY']
  const host = env['ESTEIRA_TEST_HOST']
  if (registry === undefined && host === undefined) return null
  if (registry === undefined || host === undefined)
    throw new Error('ESTEIRA_TEST_REGISTRY and ESTEIRA_TEST_HOST are of use together alone')
  const [, plain, place = ''] = /^(http:\/\/)?([a-z0-9][\w.:-]*(?:\/[\w.-]+)*)\/?$/.exec(registry) ?? []
  if (place === '') throw new Error(`ESTEIRA_TEST_REGISTRY: ${registry} is no registry, as registry.example/team is`)
  if (!/^[\w.:-]+$/.test(host)) throw new Error(`ESTEIRA_TEST_HOST: ${host} is no address of this machine`)
  return { registry: `${place}/`, isPlain: plain !== undefined, host }
}
