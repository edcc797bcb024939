import fc from 'fast-check'
import { expect, test } from 'vitest'
import { withoutServiceLinks } from './service-links.ts'

type Service = { name: string; address: string; ports: readonly Port[] }
type Port = { port: number; name: string; protocol: 'TCP' | 'UDP' | 'SCTP' }

/** What the kubelet puts into a pod's environment of a Service. */
const linksOf = ({ name, address, ports }: Service): Record<string, string> => {
  const asVariable = (text: string) => text.replaceAll('-', '_').toUpperCase()
  const prefix = asVariable(name)
  const host = address.includes(':') ? `[${address}]` : address
  const links: Record<string, string> = {
    [`${prefix}_SERVICE_HOST`]: address,
    [`${prefix}_SERVICE_PORT`]: String(ports[0]?.port),
  }
  for (const [index, { port, name: portName, protocol }] of ports.entries()) {
    const at = `${protocol.toLowerCase()}://${host}:${port}`
    if (portName !== '') links[`${prefix}_SERVICE_PORT_${asVariable(portName)}`] = String(port)
    if (index === 0) links[`${prefix}_PORT`] = at
    const one = `${prefix}_PORT_${port}_${protocol}`
    Object.assign(links, {
      [one]: at,
      [`${one}_PROTO`]: protocol.toLowerCase(),
      [`${one}_PORT`]: String(port),
      [`${one}_ADDR`]: address,
    })
  }
  return links
}

const label = fc.stringMatching(/^[a-z]([a-z0-9-]{0,12}[a-z0-9])?$/)
const service: fc.Arbitrary<Service> = fc.record({
  name: fc.oneof(
    label,
    label.map((name) => `esteira-${name}`),
    fc.constantFrom(
      'esteira',
      'rdstation',
      'esteira-http',
      'esteira-health',
      'esteira-port-80-tcp',
      'a-service-port-b',
    ),
  ),
  address: fc.oneof(
    fc.ipV4(),
    fc.ipV6().filter((address) => !address.includes('.')),
  ),
  ports: fc.array(
    fc.record({
      port: fc.integer({ min: 1, max: 65_535 }),
      name: fc.oneof(fc.constant(''), label),
      protocol: fc.constantFrom('TCP', 'UDP', 'SCTP'),
    }),
    { minLength: 1, maxLength: 3 },
  ),
})

const own = {
  PATH: '/bin',
  DATABASE_URL: 'postgres://app@10.0.0.9:5432/esteira',
  ESTEIRA_LANE: 'web-1',
  ESTEIRA_HTTP_HOST: '0.0.0.0',
  ESTEIRA_CONNECTION_CRM: 'postgres://app@10.0.0.9:5432/crm',
}

test('whatever Services there are beside a pod, its environment is what it was without them', () => {
  fc.assert(
    fc.property(fc.array(service, { maxLength: 5 }), (services) => {
      const links = Object.assign({}, ...services.map(linksOf))
      expect(withoutServiceLinks({ ...links, ...own })).toEqual(own)
    }),
  )
})

const http = linksOf({
  name: 'esteira-http',
  address: '10.0.0.7',
  ports: [{ port: 8080, name: '', protocol: 'TCP' }],
})

test('what a pod sets itself under the name of a link stays', () => {
  const env = { ...http, ESTEIRA_HTTP_PORT: '8081' }
  expect(withoutServiceLinks(env)).toEqual({ ESTEIRA_HTTP_PORT: '8081' })
})

test('what only resembles a link stays: there is no Service of its name, or something else is in it', () => {
  const alike = {
    ESTEIRA_HEALTH_SERVICE_PORT: '9464',
    ESTEIRA_HEALTH_PORT: 'tcp://10.0.0.7:9464',
    ESTEIRA_HTTP_SERVICE_PORTS: '8080',
    ESTEIRA_HTTP_PORT_8080_TCP_NAME: 'http',
    ESTEIRA_HTTP_PORT_8080_TCP_ADDR: 'http',
    ESTEIRA_HTTPS_SERVICE_HOST: 'esteira.example',
  }
  expect(withoutServiceLinks({ ...http, ...alike })).toEqual(alike)
})
