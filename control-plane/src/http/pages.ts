import { strictObject } from '@esteira/workflow'
import { z } from '@hono/zod-openapi'
import { ControlPlaneError } from '../errors.ts'

const maxLimit = 500
const defaultLimit = 50

/** The part of a query that every list takes. */
export const pageQuery = {
  limit: z.coerce.number().int().min(1).max(maxLimit).default(defaultLimit).openapi({ description: 'Items a page' }),
  cursor: z.string().min(1).optional().openapi({ description: '`nextCursor` of the page before' }),
}

/** What was asked of a list: how many items, and after which key. */
export type PageRequest = { limit: number; after: string | undefined }

/** A list as it is answered. `nextCursor` is null on the last page. */
export type Page<Item> = { items: Item[]; nextCursor: string | null }

export const pageSchema = <Item extends z.ZodType>(item: Item) =>
  strictObject({ items: z.array(item), nextCursor: z.string().nullable() })

/**
 * Reads `limit` and `cursor` of a list. A cursor holds the key of the last item seen, so a page is found by its key and
 * not by counting, and rows that come or go meanwhile do not shift it.
 *
 * @throws ControlPlaneError `cursor_invalid` when the cursor is another list's or not ours.
 */
export const pageRequest = (
  list: string,
  query: { limit: number; cursor?: string | undefined },
  isKey: (key: string) => boolean,
): PageRequest => {
  if (query.cursor === undefined) return { limit: query.limit, after: undefined }
  const text = Buffer.from(query.cursor, 'base64url').toString()
  const prefix = `${list}:`
  const after = text.startsWith(prefix) ? text.slice(prefix.length) : undefined
  if (after === undefined || !isKey(after)) {
    throw new ControlPlaneError('cursor_invalid', `Send the "nextCursor" of a page of ${list}, or none to begin.`)
  }
  return { limit: query.limit, after }
}

/** Makes a page of rows, of which one more than `limit` was read to know whether another page follows. */
export const pageOf = <Row, Item>(
  list: string,
  limit: number,
  rows: readonly Row[],
  keyOf: (row: Row) => string,
  itemOf: (row: Row) => Item,
): Page<Item> => {
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  const more = rows.length > limit && last !== undefined
  return {
    items: shown.map(itemOf),
    nextCursor: more ? Buffer.from(`${list}:${keyOf(last)}`).toString('base64url') : null,
  }
}

/** A UUID as clients may write it; ours are in lower case. */
export const uuidInput = z.guid().toLowerCase()

/** Whether a key is a UUID, as most are; anything else would be an error of the database. */
export const isUuid = (key: string): boolean => uuidInput.safeParse(key).success
