/**
 * Loaded before a supervised program (`node --import`). Its standard input is a pipe whose other end only the
 * supervisor holds: the kernel closes it when that one dies, however it dies. Without this a program would go on
 * working for a supervisor that is gone, beside the ones that the next start brings up.
 */
const graceMs = 15_000

process.stdin.once('end', () => {
  process.kill(process.pid, 'SIGTERM')
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), graceMs).unref()
})
process.stdin.resume()
// Listening must not keep a program running that has ended its work.
if ('unref' in process.stdin) process.stdin.unref()
