export { canInstallPackages, installCommand, installPackages } from './install-packages.ts'
