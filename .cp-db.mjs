import pg from 'pg'
const c = new pg.Client('postgres://postgres@127.0.0.1:55999/postgres'); await c.connect()
for (const n of process.argv.slice(2)) { await c.query(`drop database if exists ${n} with (force)`); await c.query(`create database ${n}`) }
await c.end()
