import { once } from 'node:events'
import { createServer } from 'node:http'

/**
 * Takes whatever spans it is sent, in a process of its own as a collector is. It says where, and how many bytes came in
 * how many requests when it is told to end.
 */
let [requests, bytes] = [0, 0]

const server = createServer((request, answer) => {
  requests += 1
  request.on('data', (chunk: Buffer) => (bytes += chunk.length))
  request.on('end', () => answer.writeHead(200, { 'content-type': 'application/x-protobuf' }).end())
})

const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`)

await once(server.listen(0, '127.0.0.1'), 'listening')
const address = server.address()
if (typeof address !== 'object' || address === null) throw new Error('the receiver listens nowhere')
say({ url: `http://127.0.0.1:${address.port}` })

process.on('SIGTERM', () => {
  say({ requests, bytes })
  server.close()
  server.closeAllConnections()
})
