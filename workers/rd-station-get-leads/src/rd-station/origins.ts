/**
 * Tells which addresses an account's credentials may go to: the origins that are given, and this machine. Who writes a
 * config, or only the payload that it looks at, must not have them sent to an address of their own.
 */
export const trustOf = (urls: readonly string[]): ((url: string) => boolean) => {
  const trusted = new Set(urls.map((url) => new URL(url).origin))
  return (url) => {
    const { origin, hostname } = new URL(url)
    return trusted.has(origin) || isLoopback(hostname)
  }
}

/** Of a host as `URL` writes it, so each way of writing an address of IPv4 is four numbers here. */
const isLoopback = (hostname: string): boolean =>
  hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d+){3}$/.test(hostname)
