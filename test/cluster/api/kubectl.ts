import { execFile } from 'node:child_process'

/** Runs kubectl and gives what it prints. @throws with what it says, when it does not succeed. */
export type Kubectl = (words: readonly string[], input?: object | string) => Promise<string>

/** A kubectl with a kubeconfig; what it keeps between calls is put into the folder. Objects are given to it as JSON. */
export const createKubectl =
  ({ kubectl, kubeconfig, folder }: { kubectl: string; kubeconfig: string; folder: string }): Kubectl =>
  (words, input) =>
    new Promise((resolve, reject) => {
      const own = ['--kubeconfig', kubeconfig, '--cache-dir', `${folder}/kubectl-cache`]
      const options = { env: { GOGC: 'off' }, maxBuffer: 64 * 1024 * 1024 }
      const child = execFile(kubectl, [...own, ...words], options, (error, stdout, stderr) => {
        if (error === null) resolve(stdout)
        else reject(new Error(`kubectl ${words.join(' ')}: ${stderr.trim() || error.message}`, { cause: error }))
      })
      child.stdin?.end(typeof input === 'object' ? JSON.stringify(input) : input)
    })
