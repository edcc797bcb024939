import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import type { RunFolder } from '../run/run-folder.ts'
import { startServer, type RunServer } from '../run/start-server.ts'
import type { Namespaces } from './namespaces.ts'
import { registriesOf, socketOf } from './node-folder.ts'
import type { NodePrograms } from './node-programs.ts'
import { podImage } from './pod-image.ts'

/** Starts what runs the containers, with the network of `podNetwork`, a folder that `writePodNetwork` has filled. */
export const startContainerd = async (
  programs: NodePrograms,
  run: RunFolder,
  { enter }: Namespaces,
  podNetwork: string,
): Promise<RunServer> => {
  const config = join(run.path, 'containerd.toml')
  writeFileSync(config, configOf(run.path, { plugins: programs.networkPlugins, conf: podNetwork }))
  const [nsenter = '', ...inside] = enter
  return startServer({
    run,
    name: 'containerd',
    role: 'service',
    program: nsenter,
    words: [...inside, programs.containerd, '--config', config],
    // Its helpers lie beside it.
    env: { PATH: [dirname(programs.containerd), dirname(programs.runc), '/usr/sbin:/usr/bin:/sbin:/bin'].join(':') },
    ask: async () => {
      await promisify(execFile)(programs.ctr, ['--address', socketOf(run.path), 'version'], { timeout: 5_000 })
    },
  })
}

const configOf = (folder: string, network: { plugins: string; conf: string }): string => `version = 2
root = "${join(folder, 'containers')}"
state = "${join(folder, 'containers-state')}"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "${socketOf(folder)}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${podImage}"
  # Where the kernel lets nobody lower the score there would be no container at all.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "${registriesOf(folder)}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${network.plugins}"
    conf_dir = "${network.conf}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
`
