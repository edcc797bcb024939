import { didYouMean } from '@esteira/service'
import { Hono } from 'hono'
import type { z } from 'zod'
import { settingsChange } from './settings.ts'
import type { RdStationControl } from './stand-in.ts'

/** The stand-in's own switches over HTTP. The public API has nothing under this path. */
export const createControlApi = (control: RdStationControl): Hono =>
  new Hono()
    .get('/', (c) => c.json(control.state()))
    .put('/', async (c) => {
      const text = await c.req.text()
      const change = settingsChange.safeParse(parsedOrText(text))
      if (!change.success) return c.json({ errors: change.error.issues.flatMap(problems) }, 422)
      control.set(change.data)
      return c.json(control.state())
    })
    .post('/expire-tokens', (c) => {
      control.expireTokens()
      return c.body(null, 204)
    })

/** Text that is not JSON stays text, which no change is: it gets the same answer as JSON of another shape. */
const parsedOrText = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError) return text
    throw error
  }
}

const problems = (issue: z.core.$ZodIssue): { path: string; message: string }[] => {
  const path = issue.path.join('.')
  if (issue.code !== 'unrecognized_keys') return [{ path, message: issue.message }]
  const known = issue.path[0] === 'failNext' ? faultNames : settingNames
  return issue.keys.map((key) => ({ path, message: `unknown option ${key}${didYouMean(key, known)}` }))
}

const settingNames = Object.keys(settingsChange.shape)
const faultNames = Object.keys(settingsChange.shape.failNext.unwrap().element.shape)
