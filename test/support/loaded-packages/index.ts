/** For the environment of a program that is to say at its end, in a line `loaded`, which packages it has loaded. */
export const listingPackages = { NODE_OPTIONS: `--import=${new URL('./list.ts', import.meta.url).href}` }
