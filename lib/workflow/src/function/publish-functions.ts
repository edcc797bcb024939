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
        // Looked for first, since a conflict locks the row also where nothing is to be written, and waits for it.
        `insert into workflow_function (name, config_schema, input_schema, output_schema)
         select name, config_schema, input_schema, output_schema
         from (values ($1, $2::jsonb, $3::jsonb, $4::jsonb)) as ours (name, config_schema, input_schema, output_schema)
         where not exists (
           select from workflow_function as known
           where known.name = ours.name
             and (known.config_schema, known.input_schema, known.output_schema)
               is not distinct from (ours.config_schema, ours.input_schema, ours.output_schema)
         )
         on conflict (name) do update set
           config_schema = excluded.config_schema,
           input_schema = excluded.input_schema,
           output_schema = excluded.output_schema,
           updated_at = now()`,
        [name, JSON.stringify(configSchema), jsonOrNull(inputSchema), jsonOrNull(outputSchema)],
      )
    }
  })

const jsonOrNull = (schema: Record<string, unknown> | null): string | null =>
  schema === null ? null : JSON.stringify(schema)
