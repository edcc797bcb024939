/** The database of the example's target; the worker knows it as the connection `crm`. */
export const crmDatabase = 'crm'

/** The table that the example's leads end in. A lead that comes with every tick stays one row, of the newest run. */
export const leadsTableSql = `
  create table if not exists leads (
    uuid uuid primary key,
    name text,
    email text,
    last_conversion_date timestamptz,
    last_run uuid,
    first_seen_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now()
  )`

/** The note's workflow, as it is sent to `POST /v1/workflows`. */
export const leadsWorkflow = {
  name: 'leads',
  automationType: 'step',
  enabled: true,
  steps: [
    {
      name: 'every minute',
      functionName: 'CronJob',
      config: {
        schedule: '* * * * *',
        timeZone: 'America/Sao_Paulo',
        payload: [{ segmentationId: 1 }],
      },
      nextStep: 'get leads',
      outputType: 'multiple',
    },
    {
      name: 'get leads',
      functionName: 'RdStation.getLeads',
      config: { segmentationId: '{{ payload.segmentationId }}' },
      nextStep: 'save lead',
      outputType: 'multiple',
    },
    {
      name: 'save lead',
      functionName: 'Database.query',
      config: {
        connection: 'crm',
        sql: [
          'insert into leads (uuid, name, email, last_conversion_date, last_run) values ($1, $2, $3, $4, $5)',
          // Two runs may overlap, and the ids of runs rise with time.
          'on conflict (uuid) do update',
          'set last_seen_at = now(), last_run = greatest(leads.last_run, excluded.last_run)',
        ].join(' '),
        params: [
          '{{ payload.uuid }}',
          '{{ payload.name }}',
          '{{ payload.email }}',
          '{{ payload.last_conversion_date }}',
          '{{ run.id }}',
        ],
      },
      nextStep: null,
      outputType: null,
    },
  ],
} as const
