import { didYouMean } from '@esteira/service'
import type { Statement } from './statement.ts'

/** What is wrong with the values of a statement: with the one of that name, or with all of them (null). */
export type ParamFault = { name: string | null; message: string }

/** Where values do not fit the parameters of a statement: a list for numbers, an object for names. */
export const faultsOfParams = (
  { parameters, names }: Pick<Statement, 'parameters' | 'names'>,
  params: readonly unknown[] | Readonly<Record<string, unknown>>,
): ParamFault[] => {
  if (isList(params)) return ofAll(names.length > 0 ? faultOfKind(names, params) : faultOfCount(parameters, params))
  if (names.length === 0 && parameters > 0) return ofAll(`must be an array, as sql has $1: an object came`)
  const missing = names.filter((name) => !Object.hasOwn(params, name))
  const unused = Object.keys(params).filter((name) => !names.includes(name))
  return [
    ...missing.map((name) => ({ name, message: `is missing: sql has :${name}` })),
    ...unused.map((name) => ({ name, message: `is not used in sql${didYouMean(name, missing)}` })),
  ]
}

const isList = (params: readonly unknown[] | Readonly<Record<string, unknown>>): params is readonly unknown[] =>
  Array.isArray(params)

const ofAll = (message: string | null): ParamFault[] => (message === null ? [] : [{ name: null, message }])

const faultOfKind = (names: readonly string[], params: readonly unknown[]): string => {
  const wanted = names.map((name) => JSON.stringify(name)).join(', ')
  return params.length === 0 ? `must give ${wanted}: sql has :${names[0]}` : `must be an object with ${wanted}`
}

const faultOfCount = (parameters: number, { length }: readonly unknown[]): string | null => {
  if (length === parameters) return null
  const values = `${length === 0 ? 'no' : length} value${length === 1 ? '' : 's'}`
  return `has ${values}, and ${parameters === 0 ? 'sql has no parameter' : `the last parameter of sql is $${parameters}`}`
}
