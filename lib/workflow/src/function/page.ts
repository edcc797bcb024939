/** Items together, and where the function goes on behind them. */
export type Page<Item = unknown, Cursor = unknown> = { [pageMark]: true; items: readonly Item[]; cursor: Cursor }

/** A symbol, so that no item can be taken for a page. */
const pageMark = Symbol('esteira.page')

/**
 * Items, and the `cursor` behind the last of them, for a function that can go on where it was. They are committed
 * together or not at all; the next attempt gets the cursor of the last page that was.
 */
export const page = <Item, Cursor>(items: readonly Item[], cursor: Cursor): Page<Item, Cursor> => ({
  [pageMark]: true,
  items,
  cursor,
})

export const isPage = (value: unknown): value is Page =>
  typeof value === 'object' && value !== null && pageMark in value
