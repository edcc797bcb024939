import { Client } from 'pg'
import { onTestFinished, vi } from 'vitest'
import * as z from 'zod'

/**
 * A statement that ran, how many rows its plan had in its hands: read, joined, or looked at and thrown away, and by which
 * conditions it threw some away.
 */
export type Explained = { statement: string; rows: number; filters: string[] }

const settings = [
  `load 'auto_explain'`,
  'set auto_explain.log_min_duration = 0',
  'set auto_explain.log_analyze = on',
  'set auto_explain.log_timing = off',
  'set auto_explain.log_format = json',
  'set auto_explain.log_level = notice',
]

/**
 * Has Postgres explain every statement of a session when it has run, until the test ends; `query` is one on that session.
 * Gives what was explained so far.
 */
export const explainStatements = async (query: (sql: string) => Promise<unknown>): Promise<() => Explained[]> => {
  const emitted = vi.spyOn(Client.prototype, 'emit')
  onTestFinished(() => emitted.mockRestore())
  for (const setting of settings) await query(setting)
  return () => emitted.mock.calls.flatMap(([event, notice]) => (event === 'notice' ? explainedBy(notice) : []))
}

const noticeSchema = z.object({ message: z.string() })

const explainedBy = (notice: unknown): Explained[] => {
  const [, plan] = /^duration: .* plan:\n([^]*)$/.exec(noticeSchema.parse(notice).message) ?? []
  if (plan === undefined) return []
  const { 'Query Text': statement, Plan: root } = explainedSchema.parse(JSON.parse(plan))
  return [{ statement, rows: rowsOf(root), filters: filtersOf(root) }]
}

/** What a node says is the average of its loops. */
const rowsOf = (node: PlanNode): number => {
  const removed = node['Rows Removed by Filter'] + node['Rows Removed by Join Filter']
  return node['Actual Loops'] * (node['Actual Rows'] + removed) + node.Plans.reduce((sum, one) => sum + rowsOf(one), 0)
}

const filtersOf = (node: PlanNode): string[] => [node.Filter ?? [], ...node.Plans.map(filtersOf)].flat()

const nodeSchema = z.object({
  Filter: z.string().optional(),
  'Actual Rows': z.number(),
  'Actual Loops': z.number(),
  'Rows Removed by Filter': z.number().default(0),
  'Rows Removed by Join Filter': z.number().default(0),
  get Plans() {
    return z.array(nodeSchema).default([])
  },
})
type PlanNode = z.output<typeof nodeSchema>

const explainedSchema = z.object({ 'Query Text': z.string(), Plan: nodeSchema })
