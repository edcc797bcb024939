import { OutboxError } from '@esteira/outbox'
import { expect, test } from 'vitest'
import { WorkflowError } from '../../errors.ts'
import { blameFor } from './blame.ts'

const refusal = (code: string, table?: string) => Object.assign(new Error('refused'), { code, table })

test.each([
  ['a deadlock', refusal('40P01')],
  ['a server that is shutting down', refusal('57P01')],
  ['a link that fell', refusal('ECONNRESET')],
])('%s is the fault of the moment', (_, error) => {
  expect(blameFor(error)).toBe('moment')
})

test.each([
  ['a statement that took too long, or was cancelled', refusal('57014')],
  ['one that took too much memory', refusal('53200')],
  ['one whose files took too much room', refusal('53400')],
  ['a transaction that took too long', refusal('25P04')],
])('%s is of the moment or of a job', (_, error) => {
  expect(blameFor(error)).toBe('cut short')
})

test.each([
  ['text with NUL', refusal('22P05')],
  ['a unique key that a row of the function meets', refusal('23505', 'leads')],
  ['a result above a limit of Postgres', refusal('54000')],
  ['what MikroORM has wrapped', new Error('wrapped', { cause: refusal('22P05') })],
  ['a result that is no JSON', new WorkflowError('output_rejected', 'circular')],
  ['a delay that no message can have', new OutboxError('message_invalid', 'delayMs')],
])('%s is the fault of a job', (_, error) => {
  expect(blameFor(error)).toBe('job')
})

test.each([
  ['a missing grant', refusal('42501', 'outbox_message')],
  ['a missing table', refusal('42P01')],
  ['a missing database', refusal('3D000')],
  ['a login that is refused', refusal('28P01')],
  ['a counter below zero', refusal('23514', 'workflow_run_step')],
  ['a key of an item without its job', refusal('23503', 'workflow_item_key')],
  ['a bug', new TypeError('x is not a function')],
  ['any other error of ours', new OutboxError('lane_invalid', 'lane')],
  ['what is no error', 'refused'],
])('%s is the fault of the house', (_, error) => {
  expect(blameFor(error)).toBe('house')
})
