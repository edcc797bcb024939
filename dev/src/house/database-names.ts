import { crmDatabase } from '../example/leads-workflow.ts'

/** The database that every server has, which nobody gives for its own sake. */
const maintenanceDatabase = 'postgres'

/**
 * The names of the house's databases on a server. One that was given with the server's address is Esteira's own, so that
 * several houses can share a server; the leads go beside it, under its name.
 */
export const databaseNames = ({ source, url }: { source: string; url: string }): { esteira: string; crm: string } => {
  const given = source === 'given' ? decodeURIComponent(new URL(url).pathname.slice(1)) : ''
  if (given === '' || given === maintenanceDatabase) return { esteira: 'esteira', crm: crmDatabase }
  return { esteira: given, crm: `${given}_${crmDatabase}` }
}
