export { readAuditLog, type AuditEvent } from './api/audit-log.ts'
export { createKubectl, type Kubectl } from './api/kubectl.ts'
export { type PolicyRule, type TestNamespace } from './api/namespace.ts'
export {
  refusal,
  watchOf,
  type SeenRequest,
  type Standing,
  type TamperingProxy,
  type Trouble,
} from './api/tampering-proxy.ts'
export {
  createNamespace,
  startOwnApiServer,
  startsApiServers,
  tamperWith,
  type OwnApiServer,
} from './api/use-api-server.ts'
export { importImage, killContainer, killKubelet, machineAddress, ownsNode, runsReleases } from './node/use-node.ts'
