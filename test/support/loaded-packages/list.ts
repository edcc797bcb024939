import { registerHooks } from 'node:module'

/** Loaded before a program: its last line says which packages it has loaded, by their names. */
const loaded = new Set<string>()

registerHooks({
  load: (url, context, next) => {
    const [, name] = /\/node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*\/node_modules\/)/.exec(url) ?? []
    if (name !== undefined) loaded.add(name)
    return next(url, context)
  },
})

process.on('exit', () => {
  process.stdout.write(`${JSON.stringify({ event: 'loaded', packages: [...loaded].toSorted() })}\n`)
})
