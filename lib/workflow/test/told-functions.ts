import { queryable } from '@esteira/outbox'
import * as z from 'zod'
import { defineFunction, fail, page, snooze, type StepFunction } from '../src/index.ts'
import { functionOf } from './engine.ts'
import { ownFunction } from './own-units.ts'

/** How a function ends: with its result (so many items), by a throw, or by an outcome. */
export type Ending = { how: 'done' | 'throw' | 'snooze' | 'fail'; items: number }

/** A function that is at work, and does what it is told. Each of its items is the number that its place has. */
export type Told = {
  end: (ending: Ending) => void
  /**
   * Gives so many items; resolves when more may be given, or the function has ended. Null for one that gives all at its
   * end.
   */
  give: ((items: number) => Promise<void>) | null
  /** The session of Postgres that it has for a unit of work of its own; null for one that has none such. */
  session: number | null
}

/**
 * What the first step of a run may be: all items at the end, page by page with a cursor, or without one; by pages that
 * begin with items of the page before, which their keys tell; by either of these of which each is given in a delivery of
 * its own; and in a unit of work of its own, as the second step then has one too.
 */
export const firstFunctions = ['split', 'pages', 'items', 'keyed', 'continued', 'keyed continued', 'own'] as const

export type FirstFunction = (typeof firstFunctions)[number]

/** Whether its job goes on in a new delivery with whatever it gives. */
export const isContinued = (name: string): boolean => name.endsWith('continued')

/** Functions that tell `onBegun` of themselves when they begin, and then wait for what they are told. */
export const toldFunctions = (onBegun: (told: Told) => void): StepFunction[] => {
  const atOnce = ['split', 'work'].map((name) =>
    functionOf(name, () => {
      const ending = Promise.withResolvers<Ending>()
      onBegun({ end: ending.resolve, give: null, session: null })
      return ending.promise.then((told) => outcomeOf(told) ?? numbers(0, told.items))
    }),
  )
  const paged = (name: string, pageOf: (next: number, items: number) => unknown[], itemKey?: string) =>
    defineFunction({
      name,
      config: z.looseObject({}),
      cursor: z.int(),
      ...(itemKey !== undefined && { itemKey }),
      run: async function* ({ cursor }) {
        const orders = takeOrders(onBegun)
        let next = cursor ?? 0
        try {
          for (;;) {
            const { items, ending } = await orders.next()
            const outcome = ending === null ? undefined : outcomeOf(ending)
            if (outcome !== undefined) return outcome
            // With items it would go on in a new delivery each time, and never end.
            if (ending === null || !isContinued(name)) yield page(pageOf(next, items), next + items)
            next += items
            if (ending !== null) return undefined
          }
        } finally {
          orders.close()
        }
      },
    })
  const pages = [
    ...['pages', 'continued'].map((name) => paged(name, numbers)),
    ...['keyed', 'keyed continued'].map((name) => paged(name, overlapping, 'id')),
  ]
  const items = functionOf('items', async function* () {
    const orders = takeOrders(onBegun)
    let next = 0
    try {
      for (;;) {
        const order = await orders.next()
        const outcome = order.ending === null ? undefined : outcomeOf(order.ending)
        if (outcome !== undefined) return outcome
        yield* numbers(next, order.items)
        next += order.items
        if (order.ending !== null) return undefined
      }
    } finally {
      orders.close()
    }
  })
  return [...atOnce, ...pages, items, toldUnit(onBegun)]
}

/** That of them that has this name. */
export const toldFunction = (name: string, onBegun: (told: Told) => void): StepFunction => {
  const fn = toldFunctions(onBegun).find((one) => one.name === name)
  if (fn === undefined) throw new Error(`there is no function ${name}`)
  return fn
}

/** The name of functions with a unit of work of their own. */
export const ownName = 'own'

/** One that writes a row of its own into `booking` when it begins, and then waits for what it is told. */
const toldUnit = (onBegun: (told: Told) => void): StepFunction =>
  ownFunction(ownName, async ({ em, job }) => {
    const { rows } = await queryable(em).query(bookSql, [job.id])
    const ending = Promise.withResolvers<Ending>()
    onBegun({ end: ending.resolve, give: null, session: bookedRows.parse(rows)[0].session })
    const told = await ending.promise
    return outcomeOf(told) ?? numbers(0, told.items)
  })

const bookSql = `insert into booking (job_id) values ($1) returning pg_backend_pid() as session`

const bookedRows = z.tuple([z.object({ session: z.int() })])

/** How many items of the page before are in one whose items have keys. */
const known = 2

type Order = { items: number; ending: Ending | null }

/** The orders of one call, one after the other. */
const takeOrders = (onBegun: (told: Told) => void) => {
  let order = Promise.withResolvers<Order>()
  let obeyed = Promise.withResolvers<void>()
  let isAsked = false
  onBegun({
    end: (ending) => order.resolve({ items: ending.items, ending }),
    give: (items) => {
      order.resolve({ items, ending: null })
      return obeyed.promise
    },
    session: null,
  })
  return {
    next: async (): Promise<Order> => {
      if (isAsked) {
        order = Promise.withResolvers()
        obeyed.resolve()
        obeyed = Promise.withResolvers()
      }
      isAsked = true
      return order.promise
    },
    close: () => obeyed.resolve(),
  }
}

const outcomeOf = ({ how }: Ending) => {
  if (how === 'throw') throw new Error('as the test wants it')
  if (how === 'snooze') return snooze(0)
  return how === 'fail' ? fail('as the test wants it') : undefined
}

const numbers = (first: number, count: number): number[] => Array.from({ length: count }, (_, index) => first + index)

/** Items of a page with keys, of which the first are those of the page before. */
const overlapping = (next: number, items: number): unknown[] => {
  const first = Math.max(0, next - known)
  return numbers(first, next + items - first).map((id) => ({ id }))
}
