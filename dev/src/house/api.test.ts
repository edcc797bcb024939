import { expect, test } from 'vitest'
import { createApi } from './api.ts'
import { holdSomePort } from './ports.ts'

test('a control plane that is away is told with its address and why', async () => {
  const held = await holdSomePort()
  await held.release()
  const address = `127.0.0.1:${held.port}`
  await expect(createApi(`http://${address}`, 'token').run('id')).rejects.toThrow(
    `the control plane at http://${address} does not answer: connect ECONNREFUSED ${address}`,
  )
})
