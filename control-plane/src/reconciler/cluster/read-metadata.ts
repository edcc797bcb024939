import * as z from 'zod'
import { labels } from '../labels.ts'
import type { Actual } from '../plan-changes.ts'

const texts = z.record(z.string(), z.string()).default({})

const metadata = z.object({
  name: z.string(),
  uid: z.string(),
  resourceVersion: z.string(),
  generation: z.int().default(0),
  creationTimestamp: z.string(),
  deletionTimestamp: z.string().optional(),
  labels: texts,
  annotations: texts,
  ownerReferences: z.array(z.object({ uid: z.string() })).default([]),
})

const object = z.object({ metadata })

/** An object as its metadata tell it; who wrote which field, most of what comes, is dropped. */
export const readMetadata = (value: unknown): Actual => actualOf(object.parse(value).metadata)

const page = z.object({
  metadata: z.object({ resourceVersion: z.string(), continue: z.string().optional() }),
  // The API server writes null for a list of nothing.
  items: z.array(object).nullish(),
})

/** A page of a list; `next` is where it goes on. */
export const readPage = (value: unknown): { items: Actual[]; resourceVersion: string; next: string | undefined } => {
  const { metadata: about, items } = page.parse(value)
  return {
    items: (items ?? []).map((item) => actualOf(item.metadata)),
    resourceVersion: about.resourceVersion,
    next: about.continue === '' ? undefined : about.continue,
  }
}

const actualOf = (about: z.output<typeof metadata>): Actual => ({
  stepId: about.labels[labels.step] ?? null,
  name: about.name,
  uid: about.uid,
  resourceVersion: about.resourceVersion,
  generation: about.generation,
  createdAt: new Date(about.creationTimestamp),
  deleting: about.deletionTimestamp !== undefined,
  labels: about.labels,
  annotations: about.annotations,
  owners: about.ownerReferences.map(({ uid }) => uid),
})
