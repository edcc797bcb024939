import type { EntityManager } from '@mikro-orm/postgresql'
import { expect, test } from 'vitest'
import type { Engine } from '../../../test/engine.ts'
import { note, ownFunction, useOwnUnits } from '../../../test/own-units.ts'

let engine: Engine

const { begin, notes } = useOwnUnits((opened) => {
  engine = opened
})

type Write = (em: EntityManager, mayWrite: Promise<void>, hasBegun: () => void) => Promise<unknown>

/** How something of a function may write that nobody waits for. */
const ways: Record<string, Write> = {
  'by its entity manager': async (em, mayWrite, hasBegun) => {
    hasBegun()
    await mayWrite
    return em.execute(`insert into note values (gen_random_uuid(), 'stray')`)
  },
  'with bound values': async (em, mayWrite, hasBegun) => {
    hasBegun()
    await mayWrite
    return note(em, '00000000-0000-7000-8000-000000000001', 'stray')
  },
  'in a transaction within that of its job': (em, mayWrite, hasBegun) =>
    em.transactional(async (inner) => {
      hasBegun()
      await mayWrite
      return note(inner, '00000000-0000-7000-8000-000000000001', 'stray')
    }),
  'in a transaction that it begins then': async (em, mayWrite, hasBegun) => {
    hasBegun()
    await mayWrite
    return em.transactional((inner) => note(inner, '00000000-0000-7000-8000-000000000001', 'stray'))
  },
}

const ends = {
  fails: () => {
    throw new Error('the other one failed')
  },
  succeeds: () => 'done',
  'commits by itself': (em: EntityManager) => em.commit(),
}

for (const [how, end] of Object.entries(ends)) {
  test.each(Object.entries(ways))(
    `what runs on behind a function that ${how} writes nothing any more %s, not for another job either`,
    async (way, write) => {
      const name = `${how}, ${way}`
      const ended = Promise.withResolvers<void>()
      let stray: Promise<unknown> = Promise.resolve()
      await engine.startWorker([
        ownFunction(name, async ({ em }) => {
          const begun = Promise.withResolvers<void>()
          stray = write(em, ended.promise, begun.resolve).then(
            () => 'written',
            () => 'refused',
          )
          await begun.promise
          return end(em)
        }),
        ownFunction(`${name}, the next`, async ({ em, job }) => {
          await note(em, job.id, 'the next')
          ended.resolve()
          return stray
        }),
      ])
      const first = await begin(name, null, { retry: { maxAttempts: 1 } })
      expect(await engine.over(first)).toBe(how === 'succeeds' ? 'succeeded' : 'failed')
      expect(await engine.over(await begin(`${name}, the next`))).toBe('succeeded')
      expect(await stray).toBe('refused')
      expect(await notes()).toEqual([{ text: 'the next' }])
    },
  )
}
