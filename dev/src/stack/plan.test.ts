import { expect, test } from 'vitest'
import { planPostgres, planStack, type Machine } from './plan.ts'

const server = { script: '/usr/lib/rabbitmq/bin/rabbitmq-server', epmd: '/usr/bin/epmd', path: '/usr/bin' }
const nothing: Machine = { docker: false, postgresPrograms: undefined, rabbitmqServer: undefined, canInstall: false }
const all: Machine = { docker: true, postgresPrograms: '/programs', rabbitmqServer: server, canInstall: true }
const databaseUrl = 'postgres://somebody:secret@db:5432/postgres'
const rabbitmqUrl = 'amqp://somebody:secret@mq'

const messageOf = (plan: () => unknown): string => {
  try {
    plan()
  } catch (error) {
    if (error instanceof Error) return error.message
  }
  return 'there was a plan'
}

test('an address that is given is used, whatever else there is', () => {
  expect(planStack({ databaseUrl, rabbitmqUrl }, {}, all)).toEqual({
    postgres: { source: 'given', url: databaseUrl },
    rabbitmq: { source: 'given', url: rabbitmqUrl },
  })
})

test('each service is decided by itself', () => {
  expect(planStack({ rabbitmqUrl }, {}, { ...nothing, postgresPrograms: '/programs' })).toEqual({
    postgres: { source: 'native', programs: '/programs' },
    rabbitmq: { source: 'given', url: rabbitmqUrl },
  })
})

test('Docker comes before what is installed', () => {
  expect(planStack({}, {}, all)).toEqual({ postgres: { source: 'docker' }, rabbitmq: { source: 'docker' } })
})

test('a Docker engine that was started since does not hide the data that is there', () => {
  expect(planStack({}, { postgres: 'native' }, all)).toEqual({
    postgres: { source: 'native', programs: '/programs' },
    rabbitmq: { source: 'docker' },
  })
})

test('data of a Docker engine that is gone does not keep the stack from starting', () => {
  expect(planPostgres(undefined, { postgres: 'docker' }, { ...all, docker: false })).toEqual({
    source: 'native',
    programs: '/programs',
  })
})

test('RabbitMQ that is not there is installed where that is allowed', () => {
  const machine = { ...nothing, postgresPrograms: '/programs', canInstall: true }
  expect(planStack({}, {}, machine).rabbitmq).toEqual({ source: 'native', server: undefined })
})

test('one message says what to install for everything that is missing', () => {
  const message = messageOf(() => planStack({}, {}, nothing))
  expect(message).toContain('nothing on this machine to run Postgres and RabbitMQ with')
  expect(message).toContain('sudo apt-get update && sudo apt-get install rabbitmq-server')
  expect(message).toContain('brew install rabbitmq')
  expect(message).toContain('Docker')
  expect(message).toContain('DATABASE_URL')
  expect(message).toContain('RABBITMQ_URL')
})

test('the message is only about what is missing', () => {
  const message = messageOf(() => planStack({}, {}, { ...nothing, postgresPrograms: '/programs' }))
  expect(message).toContain('to run RabbitMQ with')
  expect(message).not.toContain('DATABASE_URL')
})
