/**
 * Loaded before a program, it makes what takes a minute or more take a hundredth of that, so that a test of a process can
 * wait for it.
 */
const fastFromMs = 60_000

globalThis.setTimeout = new Proxy(globalThis.setTimeout, {
  apply: (setTimeout, self, [handler, ms, ...values]) =>
    Reflect.apply(setTimeout, self, [handler, ms >= fastFromMs ? ms / 100 : ms, ...values]),
})
