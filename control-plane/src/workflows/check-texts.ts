import { type Fault, pointerOf } from '@esteira/workflow'

/** Far more than a statement or a letter needs, and a tenth of what a regular expression of a schema has stack for. */
const mostCharacters = 1024 * 1024

/** The texts in a config that are too long to be looked at any further. */
export const faultsOfTexts = (value: unknown, pointer = ''): Fault[] => {
  if (typeof value === 'string') return value.length > mostCharacters ? [{ pointer, message: tooLong(value) }] : []
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, part]) => faultsOfTexts(part, pointer + pointerOf([name])))
}

const tooLong = ({ length }: string): string => {
  const [came, allowed] = [length, mostCharacters].map((characters) => characters.toLocaleString('en-US'))
  return `has ${came} characters, and ${allowed} are allowed`
}
