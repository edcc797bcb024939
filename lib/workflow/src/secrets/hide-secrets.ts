import type { Log } from '@esteira/service'
import { jsonOf } from '../payload/json-of.ts'
import type { Secrets } from './read-secrets.ts'

/** The secrets of one attempt, and what keeps them out of all that is stored or logged of it. */
export type HiddenSecrets = {
  /** Gives a secret, and hides it from here on. */
  secrets: Secrets
  /** A text with each secret replaced by its name: `[secret crm-token]`. */
  inText: (text: string) => string
  /** A log whose lines have their secrets replaced. */
  inLog: (log: Log) => Log
  /**
   * The name of a secret that a value holds, if it holds one that is long enough not to be there by chance.
   *
   * @throws WorkflowError `output_rejected` for what is no JSON.
   */
  heldBy: (value: unknown) => string | undefined
}

/** A shorter text may well be in a result and mean something else. */
const leastTold = 8

/** Hides whatever is read of `secrets`. */
export const hideSecrets = (secrets: Secrets): HiddenSecrets => {
  /** Each form of a secret, by which it is found, with the name; the longest first, since one may hold another. */
  let forms: { form: string; name: string }[] = []
  const inText = (text: string): string =>
    forms.reduce((hidden, { form, name }) => hidden.replaceAll(form, () => `[secret ${name}]`), text)
  const inLine = (fields: Fields): Fields =>
    forms.length === 0 ? fields : { ...copyOf(fields, inText), event: inText(fields.event) }
  return {
    secrets: async (name) => {
      const value = await secrets(name)
      const added = formsOf(value).map((form) => ({ form, name }))
      forms = [...forms, ...added].toSorted((a, b) => b.form.length - a.form.length)
      return value
    },
    inText,
    inLog: (log) => ({
      debug: (fields) => log.debug(inLine(fields)),
      info: (fields) => log.info(inLine(fields)),
      warn: (fields) => log.warn(inLine(fields)),
      error: (fields) => log.error(inLine(fields)),
    }),
    heldBy: (value) => {
      if (forms.length === 0) return undefined
      const text = jsonOf(value) ?? ''
      return forms.find(({ form }) => form.length >= leastTold && text.includes(form))?.name
    },
  }
}

/** A secret as it is, within JSON, within an address, in base64, and the lines of a long one. */
const formsOf = (value: string): string[] => {
  const lines = value.split(/\r?\n/).filter((line) => line.length >= leastTold)
  const forms = [value, ...lines, encodeURIComponent(value.toWellFormed()), Buffer.from(value).toString('base64')]
  return [...new Set(forms.flatMap((form) => [form, JSON.stringify(form).slice(1, -1)]))]
}

type Fields = Parameters<Log['info']>[0]

type InText = (text: string) => string

const copyOf = (record: object, inText: InText, seen = new Map<object, object>()): Record<string, unknown> => {
  const copy: Record<string, unknown> = {}
  seen.set(record, copy)
  for (const [name, value] of Object.entries(record)) copy[inText(name)] = valueIn(value, inText, seen)
  return copy
}

const valueIn = (value: unknown, inText: InText, seen: Map<object, object>): unknown => {
  if (typeof value === 'string') return inText(value)
  if (typeof value === 'number' || typeof value === 'bigint') {
    const text = String(value)
    return inText(text) === text ? value : inText(text)
  }
  if (typeof value !== 'object' || value === null) return value
  const copied = seen.get(value)
  if (copied !== undefined) return copied
  if (Array.isArray(value)) {
    const copy: unknown[] = []
    seen.set(value, copy)
    for (const item of value) copy.push(valueIn(item, inText, seen))
    return copy
  }
  if (value instanceof Error) return errorIn(value, inText, seen)
  // A date, an address, bytes: what the log would write of them.
  if ('toJSON' in value && typeof value.toJSON === 'function') return valueIn(value.toJSON(), inText, seen)
  return copyOf(value, inText, seen)
}

/** An error of the same class, since loggers look at that: message, stack, causes and own members with secrets hidden. */
const errorIn = (error: Error, inText: InText, seen: Map<object, object>): Error => {
  const copy: Error = Object.create(Object.getPrototypeOf(error))
  seen.set(error, copy)
  for (const name of Object.getOwnPropertyNames(error)) {
    const enumerable = Object.prototype.propertyIsEnumerable.call(error, name)
    const value = valueIn(Reflect.get(error, name), inText, seen)
    Object.defineProperty(copy, name, { value, enumerable, configurable: true, writable: true })
  }
  return copy
}
