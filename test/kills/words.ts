/** What is struck: relays and their clients, or the whole of workflows. */
const trials = ['relays', 'workflows'] as const

export type TrialName = (typeof trials)[number]

/** What the words behind `npm run kills --` ask for; without a seed each trial draws one. */
export type Words = { trials: readonly TrialName[]; blows: number; seed: number | null } | { fault: string }

const defaultBlows = 100

export const readWords = (words: readonly string[]): Words => {
  let named: readonly TrialName[] = trials
  let blows = defaultBlows
  let seed: number | null = null
  const left = [...words]
  for (let word = left.shift(); word !== undefined; word = left.shift()) {
    const trial = trials.find((name) => name === word)
    if (trial !== undefined) named = [trial]
    else if (/^[1-9]\d{0,4}$/.test(word)) blows = Number(word)
    else if (word === '--seed' && /^\d{1,10}$/.test(left[0] ?? '')) seed = Number(left.shift())
    else
      return {
        fault: `expected ${trials.join(' or ')}, how many blows from 1 on, or --seed and a number, got "${word}"`,
      }
  }
  return { trials: named, blows, seed }
}
