import { createHash } from 'node:crypto'

/**
 * The name of a step's CronJob: what people read of its workflow and step, and 12 digits of the step's id. Kubernetes
 * allows 52 characters, since a Job's name adds 11 (`-` and the minute), and 63 are what a label holds.
 *
 * It is taken when the object is made, and kept from then on: the keys of its ticks have it in them, so a new name would
 * let one minute tick twice.
 */
export const cronJobName = (workflow: string, step: string, stepId: string): string => {
  const digits = createHash('sha256').update(stepId).digest('hex').slice(0, digitsOfId)
  return [...wordsOf(slug(workflow), slug(step)), digits].join('-')
}

const maxLength = 52
const digitsOfId = 12
const maxWords = maxLength - digitsOfId - 1

/** Each of the two has half of the room, and what the other one leaves of its half. */
const wordsOf = (workflow: string, step: string): string[] => {
  const both = maxWords - 1
  const half = Math.floor(both / 2)
  const words = [
    cut(workflow, Math.max(half, both - step.length)),
    cut(step, Math.max(half, both - workflow.length)),
  ].filter((word) => word !== '')
  // A name has to begin with a letter or a digit, and names in other scripts leave nothing to read.
  return words.length === 0 ? ['cron'] : words
}

/** Small letters and digits, with single dashes between them. Accents fall off, other scripts do too. */
const slug = (name: string): string =>
  name
    .normalize('NFKD')
    .replaceAll(/\p{M}/gu, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-|-$/g, '')

const cut = (word: string, length: number): string => word.slice(0, length).replace(/-$/, '')
