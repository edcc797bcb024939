import type { TestNamespace } from '../index.ts'
import { isToStay, listObjects, type Pod, podShape } from './objects.ts'

const finalizer = 'example.com/kept-by-a-test'

/** Keeps the objects of pods until they are let go: how a pod that is taken away has ended would be gone with it. */
export const keepPods = async (namespace: TestNamespace, label: string) => {
  const list = () => listObjects(namespace, podShape, 'pods', label)
  const read = async (): Promise<Pod[]> =>
    (await list()).filter(({ metadata }) => metadata.finalizers.includes(finalizer))
  const put = async (pods: readonly Pod[], finalizers: readonly string[] | null): Promise<void> => {
    const patch = JSON.stringify({ metadata: { finalizers } })
    for (const { metadata } of pods)
      await namespace.kubectl(['patch', 'pod', metadata.name, '--type', 'merge', '--patch', patch])
  }
  const letGo = async (): Promise<void> => put(await read(), null)
  try {
    // One that was told to end takes no finalizer any more: the API server refuses it.
    await put((await list()).filter(isToStay), [finalizer])
  } catch (error) {
    // Else their namespace would stay for ever.
    await letGo()
    throw error
  }
  return { read, letGo }
}
