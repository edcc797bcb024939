/** What is built: a target of a Dockerfile over a context. */
export type Plan = {
  image: string
  dockerfile: string
  context: string
  target?: string
  args?: Readonly<Record<string, string>>
  labels: Readonly<Record<string, string>>
}

/** What builds images and keeps them. */
export type Engine = {
  name: 'docker' | 'buildah'
  /** A label of an image; null without the image or the label. */
  labelOf: (image: string, label: string) => Promise<string | null>
  build: (plan: Plan) => Promise<void>
  /** Writes an image to a file that containerd and Docker import. */
  save: (image: string, file: string) => Promise<void>
}

/** The words of a build that Docker and buildah have in common. */
export const buildWords = ({ image, dockerfile, context, target, args = {}, labels }: Plan): string[] => [
  '--file',
  dockerfile,
  '--tag',
  image,
  ...(target === undefined ? [] : ['--target', target]),
  ...Object.entries(args).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`]),
  ...Object.entries(labels).flatMap(([name, value]) => ['--label', `${name}=${value}`]),
  context,
]
