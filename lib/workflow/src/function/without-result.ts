/** The members of a config, with a value each, with which a function has no result. */
export type WithoutResult = Record<string, unknown>

/** What is wrong with a step's `outputType` when its config leaves nothing to pass on; null if that is not so. */
export const faultOfOutputType = (
  outputType: string | null,
  config: unknown,
  withoutResult: WithoutResult,
): string | null => {
  if (outputType === null || typeof config !== 'object' || config === null) return null
  const met = Object.entries(withoutResult).find(([name, value]) => Reflect.get(config, name) === value)
  if (met === undefined) return null
  return `must be null, "${outputType}" came: with config.${met[0]} ${JSON.stringify(met[1])} there is no result`
}

/** Where a published config schema says with which members there is no result. */
export const withoutResultMark = 'x-esteira-without-result'
