import { type Fault, faultsOfIssues } from '@esteira/workflow'
import type { Context } from 'hono'
import type { ZodError } from 'zod'
import { ControlPlaneError } from '../errors.ts'

type Refused = { target: string; error: ZodError }
type Validated = { success: true } | ({ success: false } & Refused)

/** Finds what no schema can find in a body. */
type FaultsOfRest = (body: unknown, c: Context) => Promise<Fault[]>

/**
 * The hook of routes that refuses what does not fit their schemas, with every fault at once: of a body also those that
 * `faultsOfRest` finds outside of the members that do not fit.
 */
export const refuseInvalid =
  (faultsOfRest: FaultsOfRest = async () => []) =>
  (result: Validated, c: Context): Promise<never> | undefined =>
    result.success ? undefined : refuse(result, c, faultsOfRest)

const refuse = async ({ target, error }: Refused, c: Context, faultsOfRest: FaultsOfRest): Promise<never> => {
  if (target !== 'json') {
    throw new ControlPlaneError('query_invalid', 'See what is wrong where; pointers name the parameter.', {
      faults: faultsOfIssues(error.issues, c.req.query()),
    })
  }
  const text = await c.req.text()
  // Without a body there is nothing that the faults could point to.
  if (text === '') throw new ControlPlaneError('json_invalid', 'Send a JSON body.')
  const body: unknown = JSON.parse(text)
  const faults = faultsOfIssues(error.issues, body)
  const others = (await faultsOfRest(body, c)).filter((fault) => !faults.some((known) => isAtOrInside(known, fault)))
  throw new ControlPlaneError('body_invalid', 'See what is wrong where.', { faults: [...faults, ...others] })
}

const isAtOrInside = (whole: Fault, part: Fault): boolean => `${part.pointer}/`.startsWith(`${whole.pointer}/`)
