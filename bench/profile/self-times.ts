import { z } from 'zod'

/** A profile as V8 gives it, as far as it is read here. */
const profileSchema = z.object({
  nodes: z.array(
    z.object({
      id: z.int(),
      callFrame: z.object({ functionName: z.string(), url: z.string(), lineNumber: z.int() }),
    }),
  ),
  samples: z.array(z.int()),
  timeDeltas: z.array(z.number()),
})

/** A function and the time in which it itself was on the CPU, microseconds. */
export type SelfTime = { name: string; place: string; us: number }

/** The functions of a profile by self time, longest first, without the time in which nothing ran. */
export const selfTimes = (json: string): SelfTime[] => {
  const { nodes, samples, timeDeltas } = profileSchema.parse(JSON.parse(json))
  const functions = new Map(
    nodes.map(({ id, callFrame }) => [
      id,
      { name: callFrame.functionName || '(anonymous)', place: placeOf(callFrame) },
    ]),
  )
  const times = new Map<string, SelfTime>()
  for (const [index, id] of samples.entries()) {
    const where = functions.get(id)
    if (where === undefined || where.name === '(idle)' || where.name === '(program)') continue
    const key = `${where.name} ${where.place}`
    const time = times.get(key) ?? { ...where, us: 0 }
    time.us += timeDeltas[index] ?? 0
    times.set(key, time)
  }
  return [...times.values()].toSorted((a, b) => b.us - a.us)
}

const root = new URL('../../', import.meta.url).href

/** The file from the repository or the package on, and the line; empty for what is Node's own. */
const placeOf = ({ url, lineNumber }: { url: string; lineNumber: number }): string => {
  if (url === '') return ''
  const path = url.replace(/^.*\/node_modules\//, '').replace(root, '')
  return `${path}:${lineNumber + 1}`
}

/** Which part a function belongs to: ours by its folder, a package by its name, or Node. */
export const partOf = ({ name, place }: SelfTime): string => {
  if (name === '(garbage collector)') return 'garbage collector'
  if (place === '' || place.startsWith('node:')) return 'Node'
  const ours = /^lib\/(outbox\/src\/relay|workflow\/src|outbox\/src)\/[^/:]+/.exec(place)
  return ours?.[0] ?? place.split('/')[0] ?? place
}
