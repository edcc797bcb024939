import { cloneDatabase } from '@esteira/test/support'
import { afterAll, beforeAll } from 'vitest'
import { type Api, openApi } from './open-api.ts'

/** The API of the file, and its database. */
export let api: Api
export let database: Awaited<ReturnType<typeof cloneDatabase>>

/** Gives a test file the API on a database of its own. */
export const useApi = (): void => {
  beforeAll(async () => {
    database = await cloneDatabase()
    api = await openApi(database.url)
  })
  afterAll(async () => {
    await api.close()
    await database.drop()
  })
}
