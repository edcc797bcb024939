import { connect } from 'node:net'
import { join } from 'node:path'
import { freePort } from '@esteira/dev/stack'
import type { ApiServer } from '../api/start-api-server.ts'
import type { RunFolder } from '../run/run-folder.ts'
import { startServer, type RunServer } from '../run/start-server.ts'
import type { NodePrograms } from './node-programs.ts'

/** Starts what makes pods of Jobs, Jobs of CronJobs and so on, and what gives pods to the node. */
export const startControllers = async (
  { controllerManager, scheduler }: NodePrograms,
  run: RunFolder,
  { kubeconfigOf }: ApiServer,
): Promise<RunServer[]> => {
  const ports = [await freePort()]
  ports.push(await freePort(new Set(ports)))
  const start = (name: string, program: string, port: number, words: readonly string[]) =>
    startServer({
      run,
      name,
      role: 'program',
      program,
      words: [
        ['--kubeconfig', kubeconfigOf(name), '--leader-elect=false'],
        ['--bind-address', '127.0.0.1', '--secure-port', String(port)],
        words,
      ].flat(),
      ask: () => listens(port),
    })
  const [managerPort = 0, schedulerPort = 0] = ports
  return Promise.all([
    start('kube-controller-manager', controllerManager, managerPort, [
      '--service-account-private-key-file',
      join(run.path, 'service-accounts.key'),
      '--root-ca-file',
      join(run.path, 'authority.crt'),
      '--use-service-account-credentials',
      '--flex-volume-plugin-dir',
      join(run.path, 'volume-plugins'),
      // 20 a second, as it is by itself, is less than the tests ask of it.
      '--kube-api-qps=300',
      '--kube-api-burst=600',
      // A pod autoscaler looks each 15 s by itself, and scales down after 5 min.
      '--horizontal-pod-autoscaler-sync-period=2s',
      '--horizontal-pod-autoscaler-downscale-stabilization=10s',
    ]),
    start('kube-scheduler', scheduler, schedulerPort, []),
  ])
}

const listens = (port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve()
    })
    socket.once('error', reject)
  })
