import { didYouMean } from '@esteira/service'
import {
  atLeast,
  atMost,
  cronJobConfig,
  cronJobFunctionName,
  expectationMark,
  type Fault,
  faultsOfExpressions,
  faultsOfIssues,
  isReference,
  mustBe,
  mustBeOneOf,
  pointerOf,
  type PublishedFunction,
  refusalMark,
} from '@esteira/workflow'
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js'
import { faultOfSchedule } from './check-schedule.ts'
import { sqlCheckOf } from './check-sql.ts'
import { faultsOfTexts } from './check-texts.ts'
import { faultOfTimeZone } from './check-time-zone.ts'

/** Finds where a config does not fit its function, with pointers into the config. */
export type ConfigCheck = (config: Record<string, unknown>) => Fault[]

/** The check of a function's configs. A schema is compiled once, at its first use: most saves use few functions. */
export const configCheckOf = (fn: Pick<PublishedFunction, 'name' | 'configSchema'>): ConfigCheck => {
  // A CronJob is not run by a worker: nobody would evaluate its expressions, so its own schema is the stricter one.
  if (fn.name === cronJobFunctionName) return faultsOfCronJob
  let ofSchema: ConfigCheck | undefined
  const ofSql = sqlCheckOf(fn)
  return (config) => {
    const tooLong = faultsOfTexts(config)
    if (tooLong.length > 0) return tooLong
    ofSchema ??= schemaCheck(fn)
    const faults = ofSchema(config)
    const faulty = new Set(faults.map(({ pointer }) => pointer))
    const others = [...faultsOfExpressions(config), ...ofSql(config)]
    return [...faults, ...others.filter(({ pointer }) => !faulty.has(pointer))]
  }
}

const faultsOfCronJob = (config: Record<string, unknown>): Fault[] => {
  const { issues } = cronJobConfig.safeParse(config).error ?? { issues: [] }
  const faults = faultsOfIssues(issues, config)
  const faulty = new Set(faults.map(({ pointer }) => pointer))
  const texts = [
    { pointer: '/schedule', text: config.schedule, faultOf: faultOfSchedule },
    { pointer: '/timeZone', text: config.timeZone, faultOf: faultOfTimeZone },
  ]
  for (const { pointer, text, faultOf } of texts) {
    const message = typeof text === 'string' && !faulty.has(pointer) ? faultOf(text) : null
    if (message !== null) faults.push({ pointer, message })
  }
  const secret = firstReference(config.payload)
  if (secret !== null) faults.push({ pointer: `/payload${secret}`, message: noSecretHere })
  return faults
}

/** A tick fills nothing in: whoever gets the job would have the object in the place of a text. */
const noSecretHere =
  'must not be a $secret: nothing of a payload is filled in; put it into the config of the step that needs it'

/** Where a payload has what is meant as a secret, the first of them, as one that is in each item of a list is one fault. */
const firstReference = (value: unknown): string | null => {
  if (typeof value !== 'object' || value === null) return null
  if (isReference(value)) return ''
  for (const [name, member] of Object.entries(value)) {
    const place = firstReference(member)
    if (place !== null) return pointerOf([name]) + place
  }
  return null
}

const schemaCheck = ({ name, configSchema }: Pick<PublishedFunction, 'name' | 'configSchema'>): ConfigCheck => {
  // Formats are the worker's to check, with the schema that it published this one from. An Ajv keeps what it has
  // compiled for good, so it goes with its check.
  const ajv = new Ajv2020({
    allErrors: true,
    verbose: true,
    strict: false,
    validateFormats: false,
    validateSchema: false,
  })
  const compiled = compile(ajv, configSchema)
  if (compiled instanceof Error) {
    const message = `cannot be checked: the schema that the worker of ${name} published is broken, ${compiled.message}`
    return () => [{ pointer: '', message }]
  }
  return (config) => {
    if (compiled(config)) return []
    return faultsOfAjv(compiled.errors ?? [])
  }
}

const compile = (ajv: Ajv2020, schema: Record<string, unknown>): ValidateFunction | Error => {
  try {
    return ajv.compile(schema)
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

/** Of a union that says by itself what it takes, what its branches say is left out. */
const faultsOfAjv = (errors: readonly ErrorObject[]): Fault[] => {
  const unions = errors.filter((error) => error.keyword === 'anyOf' && expectationOf(error) !== null)
  const isWithin = ({ schemaPath }: ErrorObject) =>
    unions.some((union) => schemaPath.startsWith(`${union.schemaPath}/`))
  return errors
    .filter((error) => unions.includes(error) || !(branchFailed.has(error.keyword) || isWithin(error)))
    .map(faultOfAjv)
}

/** Keywords that only say that a branch failed; the errors of the branch are there as well. */
const branchFailed = new Set(['if', 'anyOf'])

/** What a field says that it takes, if it says so and the error is of its value, not of a member of that. */
const expectationOf = ({ keyword, parentSchema }: ErrorObject): string | null => {
  const said: unknown = parentSchema?.[expectationMark]
  return typeof said === 'string' && keyword !== 'required' && keyword !== 'additionalProperties' ? said : null
}

const faultOfAjv = (error: ErrorObject): Fault => {
  const { instancePath, keyword, params, parentSchema } = error
  const here = (message: string): Fault => ({ pointer: instancePath, message })
  const expected = expectationOf(error)
  if (expected !== null) return here(expected)
  const property = (name: unknown): string => instancePath + pointerOf([String(name)])
  switch (keyword) {
    case 'additionalProperties': {
      const name = String(params.additionalProperty)
      const known = Object.keys(isRecord(parentSchema?.properties) ? parentSchema.properties : {})
      return { pointer: property(name), message: `is not known here${didYouMean(name, known)}` }
    }
    case 'required':
      return { pointer: property(params.missingProperty), message: 'is missing' }
    case 'enum':
      return here(mustBeOneOf(Array.isArray(params.allowedValues) ? params.allowedValues : [], error.data))
    case 'const':
      return here(mustBeOneOf([params.allowedValue], error.data))
    case 'type':
      return here(mustBe(String(params.type), error.data))
    case 'minimum':
      return here(atLeast(params.limit))
    case 'exclusiveMinimum':
      return here(atLeast(params.limit, { exclusive: true }))
    case 'maximum':
      return here(atMost(params.limit))
    case 'exclusiveMaximum':
      return here(atMost(params.limit, { exclusive: true }))
    case 'minLength':
      return here(atLeast(params.limit, { unit: 'characters' }))
    case 'maxLength':
      return here(atMost(params.limit, { unit: 'characters' }))
    case 'minItems':
      return here(atLeast(params.limit, { unit: 'items' }))
    case 'maxItems':
      return here(atMost(params.limit, { unit: 'items' }))
    case 'pattern':
      return here(
        parentSchema?.['x-esteira-literal'] === true ? 'takes no {{ expression }}' : `must match ${params.pattern}`,
      )
    case 'not': {
      const said = parentSchema?.[refusalMark]
      return here(typeof said === 'string' ? said : 'is not allowed')
    }
    default:
      return here(error.message ?? `does not fit "${keyword}"`)
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
