import { z } from 'zod'
import type { Numbered } from './compare.ts'

const contentSchema = z.object({
  key: z.string(),
  n: z.int(),
  as: z.enum(['application/json', 'application/octet-stream']),
  filling: z.string(),
  length: z.int(),
})

type Content = z.infer<typeof contentSchema>

/** What a message carries: its key and number, and what tells whether it came whole, and as what it was written. */
export const contentOf = ({ key, n }: Numbered, as: Content['as'], length: number): Content => ({
  key,
  n,
  as,
  filling: 'x'.repeat(length),
  length,
})

/** JSON goes as it is, the other one as bytes. */
export const payloadOf = (content: Content): Content | Uint8Array =>
  content.as === 'application/json' ? content : Buffer.from(JSON.stringify(content))

/** Reads a message that came as this content type. */
export const readContent = (text: string, contentType: unknown): Numbered & { isWhole: boolean } => {
  const { key, n, as, filling, length } = contentSchema.parse(JSON.parse(text))
  return { key, n, isWhole: contentType === as && filling.length === length }
}
