/** A part of `pg` that its own types do not have. */

declare module 'pg/lib/utils.js' {
  const utils: {
    /** A value as `pg` sends it: text, bytes, or null for what is none. */
    prepareValue: (value: unknown) => string | Buffer | null
  }
  export default utils
}
