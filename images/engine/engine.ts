/** What is built: a target of a Dockerfile over a context. */
export type Plan = {
  image: string
  dockerfile: string
  context: string
  target?: string
  args?: Readonly<Record<string, string>>
  labels: Readonly<Record<string, string>>
  /** What the image and the files in it say of when they were made, seconds since 1970. */
  epoch: number
}

/** An image as it is now: by what it is built on, which does not move, and its digest. */
export type Pinned = { image: string; digest: string }

/** What builds images and keeps them. */
export type Engine = {
  name: 'docker' | 'buildah'
  /** A label of an image; null without the image or the label. */
  labelOf: (image: string, label: string) => Promise<string | null>
  /**
   * Looks for a newer image of that name, unless it is one of this machine, and says which it is. Without a registry it is
   * the one that is there.
   */
  pin: (image: string) => Promise<Pinned>
  build: (plan: Plan) => Promise<void>
  /** Writes an image to a file that containerd and Docker import. */
  save: (image: string, file: string) => Promise<void>
}

/** Whether an image is of no registry. */
export const isLocal = (image: string): boolean => image.startsWith('localhost/')

/** The name of an image without its tag or digest. */
export const repositoryOf = (image: string): string => image.replace(/(:[\w.-]+)?(@sha256:[0-9a-f]+)?$/, '')

/** The words of a build that Docker and buildah have in common. */
export const buildWords = ({
  image,
  dockerfile,
  context,
  target,
  args = {},
  labels,
}: Omit<Plan, 'epoch'>): string[] => [
  '--file',
  dockerfile,
  '--tag',
  image,
  ...(target === undefined ? [] : ['--target', target]),
  ...Object.entries(args).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`]),
  ...Object.entries(labels).flatMap(([name, value]) => ['--label', `${name}=${value}`]),
  context,
]
