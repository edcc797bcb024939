import { defineFunction, page } from '@esteira/workflow'
import * as z from 'zod'

const orders = z.array(z.object({ id: z.string() }))

/** Gives the orders of a shop, page by page as its API does. */
export const listOrders = defineFunction({
  name: 'Shop.listOrders',
  config: z.strictObject({ url: z.url() }),
  output: orders,
  cursor: z.int(),
  run: async function* ({ config, cursor, signal }) {
    for (let number = cursor ?? 1; ; number += 1) {
      const answer = await fetch(`${config.url}?page=${number}`, { signal })
      const found = orders.parse(await answer.json())
      if (found.length === 0) return
      yield page(found, number + 1)
    }
  },
})
