import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'

/** What a function is, for whoever saves a step of it. */
export type PublishedFunction = {
  name: string
  configSchema: Record<string, unknown>
  inputSchema: Record<string, unknown> | null
  outputSchema: Record<string, unknown> | null
}

/**
 * Writes what the functions are, so that the control plane can refuse a step that does not fit. What is there already
 * is not written again.
 */
export const publishFunctions = (em: EntityManager, functions: readonly PublishedFunction[]): Promise<void> =>
  em.transactional(async (em) => {
    // In the order of names: two workers that publish the same functions cannot deadlock.
    const sorted = functions.toSorted((a, b) => (a.name < b.name ? -1 : 1))
    for (const { name, configSchema, inputSchema, outputSchema } of sorted) {
      await queryable(em).query(
        `insert into workflow_function as known (name, config_schema, input_schema, output_schema)
         values ($1, $2::jsonb, $3::jsonb, $4::jsonb)
         on conflict (name) do update set
           config_schema = excluded.config_schema,
           input_schema = excluded.input_schema,
           output_schema = excluded.output_schema,
           updated_at = now()
         where (known.config_schema, known.input_schema, known.output_schema)
           is distinct from (excluded.config_schema, excluded.input_schema, excluded.output_schema)`,
        [name, JSON.stringify(configSchema), jsonOrNull(inputSchema), jsonOrNull(outputSchema)],
      )
    }
  })

const jsonOrNull = (schema: Record<string, unknown> | null): string | null =>
  schema === null ? null : JSON.stringify(schema)
