import { inject } from 'vitest'

/** Where the servers of the run are, for a testbed: it makes its own of what it needs there. */
export const testServers = (): { databaseUrl: string; rabbitmqUrl: string } => {
  const { postgresUrl, rabbitmqUrl } = inject('stack')
  return { databaseUrl: postgresUrl, rabbitmqUrl }
}
