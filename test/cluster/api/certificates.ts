import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** Files with a certificate and its key. */
export type KeyPair = { certificate: string; key: string }

/** Who signs certificates, for as long as a run takes. */
export type Authority = {
  /** Its own certificate, as text. */
  certificate: string
  file: string
  /** For a server at `hosts`, names and addresses, and for a client with that subject, such as `/O=system:masters/CN=me`. */
  issue: (wanted: { name: string; subject: string; hosts?: readonly string[] }) => Promise<KeyPair>
}

/** Makes an authority whose files lie in the folder. */
export const createAuthority = async (openssl: string, folder: string): Promise<Authority> => {
  const run = promisify(execFile)
  const at = (name: string) => join(folder, name)
  const write = (name: string, lines: readonly string[]) => {
    writeFileSync(at(name), `${lines.join('\n')}\n`)
    return at(name)
  }
  const own = { certificate: at('authority.crt'), key: at('authority.key') }
  const config = write('authority.cnf', [
    // All there is, so that what the system's own configuration would add is not there twice.
    '[req]',
    'distinguished_name = name',
    'x509_extensions = authority',
    '[name]',
    '[authority]',
    'basicConstraints = critical, CA:TRUE',
    'keyUsage = critical, keyCertSign, cRLSign',
    'subjectKeyIdentifier = hash',
  ])
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const ownWords = ['-x509', '-subj', '/CN=esteira tests', '-days', days]
  await run(openssl, ['req', ...ownWords, '-config', config, ...curve, '-keyout', own.key, '-out', own.certificate])
  return {
    certificate: readFileSync(own.certificate, 'utf8'),
    file: own.certificate,
    issue: async ({ name, subject, hosts = [] }) => {
      const pair = { certificate: at(`${name}.crt`), key: at(`${name}.key`) }
      const request = at(`${name}.csr`)
      await run(openssl, [
        'req',
        '-new',
        '-subj',
        subject,
        '-config',
        config,
        ...curve,
        '-keyout',
        pair.key,
        '-out',
        request,
      ])
      const names = hosts.map((host) => `${isIP(host) === 0 ? 'DNS' : 'IP'}:${host}`).join(',')
      const extensions = write(`${name}.cnf`, [
        'basicConstraints = critical, CA:FALSE',
        'keyUsage = critical, digitalSignature, keyEncipherment',
        'extendedKeyUsage = serverAuth, clientAuth',
        ...(names === '' ? [] : [`subjectAltName = ${names}`]),
      ])
      const signer = ['-CA', own.certificate, '-CAkey', own.key, '-set_serial', `0x${randomBytes(8).toString('hex')}`]
      const words = ['-in', request, ...signer, '-days', days, '-extfile', extensions, '-out', pair.certificate]
      await run(openssl, ['x509', '-req', ...words])
      return pair
    },
  }
}

const days = '30'
