import { getContainerRuntimeClient, ImageName } from 'testcontainers'
import { z } from 'zod'
import { keepUp, type Exit, type KeptUp, type Life } from '../../processes/keep-up.ts'
import type { DataFolder } from '../folder/data-folder.ts'
import { firstReady, partEvents } from '../part-events.ts'
import type { Observe, ServiceName } from '../service.ts'

/** What a service's container is made of. */
export type ContainerPlan = {
  service: ServiceName
  image: string
  env: Record<string, string>
  command?: string[]
  hostname?: string
  /** Where the image keeps its data: a named volume is mounted there, which outlives the container. */
  dataPath: string
  /** Pairs of the container's port and this machine's. */
  ports: readonly (readonly [inside: number, outside: number])[]
  /** Resolves once the service answers; tries until the signal is aborted. */
  answers: (signal: AbortSignal) => Promise<void>
  ready: (ms: number) => void
}

/** Where the engine opens ports: 127.0.0.1, or the machine that it runs on. */
export const engineHost = async (): Promise<string> => {
  const { host } = (await getContainerRuntimeClient()).info.containerRuntime
  return host === 'localhost' ? loopback : host
}

const loopback = '127.0.0.1'

/**
 * Runs a container for a data folder and keeps it up. Ports are opened on 127.0.0.1 only, unless the engine is on
 * another machine. When it is stopped its volume stays.
 *
 * @throws StackError `service_failed` when it does not come up.
 */
export const keepContainer = async (
  folder: DataFolder,
  plan: ContainerPlan,
  observe: Observe,
  signal: AbortSignal,
): Promise<{ stop: () => Promise<void> }> => {
  const { service, ports } = plan
  const client = await getContainerRuntimeClient()
  await client.image.pull(ImageName.fromString(plan.image))
  signal.throwIfAborted()
  const HostIp = (await engineHost()) === loopback ? loopback : ''
  const container = await client.container.create({
    name: nameOf(folder, service),
    Image: plan.image,
    Labels: { [folderLabel]: folder.path },
    Env: Object.entries(plan.env).map(([name, value]) => `${name}=${value}`),
    ...(plan.command === undefined ? {} : { Cmd: plan.command }),
    ...(plan.hostname === undefined ? {} : { Hostname: plan.hostname }),
    // Without a terminal the engine sends the log in frames.
    Tty: true,
    ExposedPorts: Object.fromEntries(ports.map(([inside]) => [`${inside}/tcp`, {}])),
    HostConfig: {
      PortBindings: Object.fromEntries(
        ports.map(([inside, outside]) => [`${inside}/tcp`, [{ HostIp, HostPort: String(outside) }]]),
      ),
      Binds: [`${nameOf(folder, service)}:${plan.dataPath}`],
    },
  })

  const start = async (): Promise<Life<void>> => {
    await container.start()
    const end = async (): Promise<Exit> => {
      const { StatusCode: code } = waitShape.parse(await container.wait())
      return { kind: 'ended', code, signal: null }
    }
    return {
      answers: plan.answers,
      ended: end(),
      stop: () => client.container.stop(container, { timeout: graceMs }),
      kill: async () => {
        await container.kill()
      },
      lastLines: async () => {
        const log = await container.logs({ stdout: true, stderr: true, tail: 5, follow: false })
        return log
          .toString('utf8')
          .split(/\r?\n/)
          .filter((line) => line.trim() !== '')
      },
    }
  }
  const kept: KeptUp<void> = keepUp({
    name: `the container ${nameOf(folder, service)}`,
    start,
    readyWithinMs: 120_000,
    // The engine kills it after the grace; this is for an engine that does not.
    graceMs: graceMs + 10_000,
    restart: true,
    observe: partEvents(observe, { service, part: nameOf(folder, service), ready: plan.ready }),
  })
  const stop = async () => {
    await kept.stop()
    await container.remove({ force: true })
  }
  try {
    await firstReady(kept, signal)
  } catch (error) {
    await stop()
    throw error
  }
  return { stop }
}

const graceMs = 20_000

const waitShape = z.object({ StatusCode: z.number() })

const folderLabel = 'esteira.data-folder'

/** Of a container and of its volume. */
const nameOf = (folder: DataFolder, service: ServiceName): string => `esteira-${folder.hash}-${service}`

/** Removes the container that an earlier start left. Whose a name is can only be told by the label. */
export const removeLeftover = async (folder: DataFolder, service: ServiceName, observe: Observe): Promise<void> => {
  const { dockerode } = (await getContainerRuntimeClient()).container
  const found = await dockerode.listContainers({
    all: true,
    filters: { label: [`${folderLabel}=${folder.path}`], name: [`^/${nameOf(folder, service)}$`] },
  })
  for (const { Id: id } of found) {
    const container = dockerode.getContainer(id)
    const { State: state } = await container.inspect()
    if (state.Running) await container.stop({ t: graceMs / 1_000 })
    await container.remove({ force: true })
    observe({ kind: 'orphan.stopped', name: nameOf(folder, service), pid: state.Pid })
  }
}

/** Removes a service's data, with the container that an earlier start left. */
export const removeVolume = async (folder: DataFolder, service: ServiceName, observe: Observe): Promise<void> => {
  await removeLeftover(folder, service, observe)
  const { dockerode } = (await getContainerRuntimeClient()).container
  const { Volumes: volumes } = await dockerode.listVolumes({ filters: { name: [nameOf(folder, service)] } })
  for (const { Name: name } of volumes ?? []) {
    if (name === nameOf(folder, service)) await dockerode.getVolume(name).remove()
  }
}
