import { killContainer } from '../node/use-node.ts'
import { containersOf, describePods, holds, listObjects, type Pod, podShape, readObject } from './objects.ts'
import type { TestRelease } from './release.ts'
import { waitInCluster } from './wait-in-cluster.ts'

/** The label of a worker's pods. */
export const ofWorker = (name: string): string => `esteira.dev/worker=${name}`

/** The label of those of the control plane. */
export const ofControlPlane = 'app.kubernetes.io/component=control-plane'

/** Waits until one of the pods with a label is ready and as it is wanted; that pod. */
export const readyPod = (
  { namespace }: TestRelease,
  label: string,
  isWanted: (pod: Pod) => boolean = () => true,
): Promise<Pod> =>
  waitInCluster(
    async () => {
      const pods = await listObjects(namespace, podShape, 'pods', label)
      return pods.find((pod) => holds('Ready', pod) && isWanted(pod))
    },
    // As long as helm waits for it.
    { deadlineMs: 240_000, describe: () => describePods(namespace) },
  )

const idOf = (pod: Pod, container: string): string | undefined =>
  containersOf(pod).find(({ name }) => name === container)?.containerID

/** Kills a container by SIGKILL, the one that the pod had when it was read. */
export const killIn = (pod: Pod, container: string): void => killContainer(idOf(pod, container) ?? '')

/** Waits until the kubelet has started a container again that was killed. */
export const startedAgain = async ({ namespace }: TestRelease, killed: Pod, container: string): Promise<void> => {
  await waitInCluster(
    async () => {
      const pod = await readObject(namespace, podShape, 'pods', killed.metadata.name)
      const isRunning = containersOf(pod).some(({ name, state }) => name === container && state.running !== undefined)
      return isRunning && idOf(pod, container) !== idOf(killed, container)
    },
    { deadlineMs: 90_000, describe: () => describePods(namespace) },
  )
}
