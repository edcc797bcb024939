import type { TestNamespace } from '../index.ts'
import { listObjects, type Pod, podShape } from './objects.ts'

const finalizer = 'example.com/kept-by-a-test'

/** Keeps the objects of pods until they are let go: how a pod that is taken away has ended would be gone with it. */
export const keepPods = async (namespace: TestNamespace, label: string) => {
  const list = () => listObjects(namespace, podShape, 'pods', label)
  const kept = (await list()).map(({ metadata }) => metadata.name)
  const holdThem = (finalizers: readonly string[] | null) =>
    Promise.all(
      kept.map((name) =>
        namespace.kubectl([
          'patch',
          'pod',
          name,
          '--type',
          'merge',
          '-p',
          JSON.stringify({ metadata: { finalizers } }),
        ]),
      ),
    )
  await holdThem([finalizer])
  return {
    read: async (): Promise<Pod[]> => (await list()).filter(({ metadata }) => kept.includes(metadata.name)),
    letGo: async (): Promise<void> => void (await holdThem(null)),
  }
}
