import { httpUrl, text } from '@esteira/service'
import { runWorker } from '@esteira/workflow'
import { getLeads } from './get-leads.ts'
import { createRdStationClient } from './rd-station/index.ts'

const settings = {
  baseUrl: httpUrl('RDSTATION_BASE_URL', { fallback: 'https://api.rd.services' }),
  clientId: text('RDSTATION_CLIENT_ID'),
  clientSecret: text('RDSTATION_CLIENT_SECRET', { secret: true }),
  refreshToken: text('RDSTATION_REFRESH_TOKEN', { secret: true }),
}

process.exitCode = await runWorker(
  {
    name: 'rd-station-get-leads',
    settings,
    serve: (config, { stopping }) => {
      const client = createRdStationClient({ ...config, stopping })
      return { functions: [getLeads(client)], close: () => client.close() }
    },
  },
  process.env,
)
