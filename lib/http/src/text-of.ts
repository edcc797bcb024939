/** The charset that a media type names, as `text/html; charset=iso-8859-1`; UTF-8 where it names none. */
export const charsetOf = (contentType: string | undefined): string =>
  charsetParameter.exec(contentType ?? '')?.[1]?.toLowerCase() ?? 'utf-8'

/** A name that is longer, or of other characters, is that of no charset, and what stands there is anybody's. */
const charsetParameter = /;\s*charset\s*=\s*"?([a-z0-9_.:-]{1,40})(?=["\s;]|$)/i

/** What `Content-Encoding` says that bytes are packed in, such as `gzip`; null for none, and for what may be anybody's. */
export const encodingOf = (contentEncoding: string | undefined): string | null =>
  /^(?!identity$)[a-z0-9-]{1,20}$/i.exec(contentEncoding ?? '')?.[0].toLowerCase() ?? null

/** Bytes as text; null if they are not text in that charset, or if it is none that is known. */
export const textOf = (bytes: Uint8Array, charset: string): string | null => {
  try {
    return new TextDecoder(charset, { fatal: true }).decode(bytes)
  } catch (error) {
    // By the standard a RangeError says that the charset is not known, a TypeError that the bytes are not in it.
    if (error instanceof RangeError || error instanceof TypeError) return null
    throw error
  }
}
