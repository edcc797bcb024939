import { isFree } from '../stack/folder/ports.ts'

/** How many ports are tried before it is said that none is free. */
const tries = 100

/** The first free port of 127.0.0.1 from `first` on. @throws Error when a hundred in a row are taken. */
export const firstFreePort = async (first: number): Promise<number> => {
  for (let port = first; port < first + tries; port += 1) {
    if (await isFree(port)) return port
  }
  throw new Error(`no port from ${first} to ${first + tries - 1} is free`)
}
