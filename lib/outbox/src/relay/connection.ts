/** What Esteira's workers share with the relay: internal, and so no part of what other programs may rely on. */
export { backoffMs } from './backoff.ts'
export { isLinkClosing } from './publish/confirm-channel.ts'
export { hangUp } from './publish/hang-up.ts'
export { openConnection } from './publish/open-connection.ts'
