type Results<Works extends readonly Promise<unknown>[]> = { -readonly [Work in keyof Works]: Awaited<Works[Work]> }

/**
 * Works that go on beside each other and are one: the first that fails has the others end, by `giveUp`, and what it threw is
 * thrown when they have. So none is left behind by itself, and no fault is one that nobody takes.
 */
export const endTogether = async <Works extends readonly Promise<unknown>[]>(
  works: readonly [...Works],
  giveUp: (fault: unknown) => unknown,
): Promise<Results<Works>> => {
  try {
    return await Promise.all(works)
  } catch (fault) {
    await giveUp(fault)
    await Promise.allSettled(works)
    throw fault
  }
}
