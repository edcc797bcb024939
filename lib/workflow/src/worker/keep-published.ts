import { reasonOf } from '@esteira/service'

export type PublishEvent = { kind: 'publish.failed'; reason: string }

type PublishOptions = {
  publish: () => Promise<void>
  observe: (event: PublishEvent) => void
  /** Between two times, milliseconds, give or take a quarter. */
  everyMs: number
}

/** Five minutes: nobody saves steps of a function in the middle of its rolling update and minds a wait of that. */
export const defaultPublishMs = 300_000

/**
 * Publishes again and again what functions are, until it is stopped. A pod of an older release that only starts anew in
 * the middle of a rolling update has the last word at its start; with this those that are there in the end have it. A
 * time that fails is told, and the next one does it.
 */
export const keepPublished = ({ publish, observe, everyMs }: PublishOptions): { stop: () => void } => {
  let timer: NodeJS.Timeout | undefined
  let isStopped = false

  const wait = (): void => {
    // Pods that started together do not go on in step.
    timer = setTimeout(() => void turn(), everyMs * (0.75 + Math.random() / 2)).unref()
  }

  const turn = async (): Promise<void> => {
    try {
      await publish()
    } catch (error) {
      if (!isStopped) observe({ kind: 'publish.failed', reason: reasonOf(error) })
    }
    if (!isStopped) wait()
  }

  wait()
  return {
    stop: () => {
      isStopped = true
      clearTimeout(timer)
    },
  }
}
