/**
 * npm runs this before it packs or publishes a folder that others install, and fails if this does. It would take the
 * sources as they are, which Node does not run from `node_modules`. Our own script is called `pack`, so npm takes this for
 * what comes before that as well.
 */
const { npm_command: command = '', npm_package_name: name } = process.env
const isOwnScript = ['run', 'run-script'].includes(command)
if (!isOwnScript) {
  process.stderr.write(
    'This folder has sources that are to be compiled first: ' +
      `\`npm run pack -w ${name}\` makes the package here, which ` +
      '`npm publish ./FILE.tgz` publishes.\n',
  )
  process.exitCode = 1
}
