// A back end that publishes by an emitter of Socket.IO, and does what it is told: a JSON array of steps on
// the command line. The emitters are the packages as they are; only what they speak to is given here.
'use strict';

const [via, address, stepsText] = process.argv.slice(2);
const steps = JSON.parse(stepsText);

/** Puts bytes and dates where JSON has to describe them. */
function revive(value) {
  if (value && typeof value.$buffer === 'string') return Buffer.from(value.$buffer, 'base64');
  if (value && typeof value.$date === 'string') return new Date(value.$date);
  if (Array.isArray(value)) return value.map(revive);
  if (value && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, revive(inner)]));
  }
  return value;
}

/** What stands in for a Redis client: the five lines of docs/from-socket-io.md. */
function httpClient(url) {
  const headers = { 'content-type': 'application/octet-stream' };
  if (process.env.TOKEN) headers.authorization = `Bearer ${process.env.TOKEN}`;
  let last = Promise.resolve();
  const publish = (channel, body) =>
    (last = last.then(() =>
      fetch(`${url}/api/socketio/emitter?channel=${encodeURIComponent(channel)}`, { method: 'POST', headers, body }),
    ).then(async (answer) => console.log(answer.status, await answer.text())));
  return { publish, settled: () => last, finished: () => last };
}

/** Counts what the emitter has asked of the database, so that it is known when all is done. */
async function postgresPool(url) {
  const { Pool } = require('pg');
  const pool = new Pool({ connectionString: url, max: 1 });
  const asked = [];
  const query = (...query) => {
    const answer = pool.query(...query);
    asked.push(answer);
    return answer;
  };
  // An attachment is stored by one query and announced by the next.
  const settled = async () => {
    for (let count = -1; count !== asked.length; ) {
      count = asked.length;
      await Promise.all(asked);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return { query, settled, finished: () => pool.end() };
}

async function main() {
  const client = via === 'redis' ? httpClient(address) : await postgresPool(address);
  const { Emitter } = require(via === 'redis' ? '@socket.io/redis-emitter' : '@socket.io/postgres-emitter');
  const emitter = new Emitter(client);
  for (const step of steps) {
    let operator = step.namespace ? emitter.of(step.namespace) : emitter;
    if (step.to) operator = operator.to(step.to);
    if (step.except) operator = operator.except(step.except);
    if (step.volatile) operator = operator.volatile;
    if (step.emit) operator.emit(...revive(step.emit));
    if (step.join) operator.socketsJoin(step.join);
    if (step.leave) operator.socketsLeave(step.leave);
    if (step.disconnect) operator.disconnectSockets(true);
    if (step.serverSide) operator.serverSideEmit(...step.serverSide);
    // The postgres emitter does not wait for its own queries: what has an attachment may be overtaken.
    if (via === 'postgres') await client.settled();
  }
  await client.finished();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
