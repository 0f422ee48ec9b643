// Serves one example: node serve.cjs <example> [--santral <url>] [--port <port>]
//
// Without --santral the sockets are those of npm socket.io, in this process. With it they are Santral's,
// and what is left of the back end publishes by @socket.io/redis-emitter, over HTTP instead of Redis. The
// front ends do not know the difference: /config.js tells them where the sockets are.
'use strict';

const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');

const [example, ...rest] = process.argv.slice(2);
const option = (name) => (rest.includes(name) ? rest[rest.indexOf(name) + 1] : undefined);
const santral = option('--santral');
const folder = path.join(__dirname, example);
const { sockets, backend } = require(path.join(folder, 'server.cjs'));

const client = path.join(path.dirname(require.resolve('socket.io-client/package.json')), 'dist/socket.io.min.js');
const pages = {
  '/': ['text/html; charset=utf-8', () => fs.readFileSync(path.join(folder, 'index.html'))],
  '/app.js': ['text/javascript; charset=utf-8', () => fs.readFileSync(path.join(folder, 'app.js'))],
  '/style.css': ['text/css; charset=utf-8', () => fs.readFileSync(path.join(__dirname, 'style.css'))],
  '/socket.io.min.js': ['text/javascript; charset=utf-8', () => fs.readFileSync(client)],
  '/config.js': ['text/javascript', () => `window.SERVER = ${JSON.stringify(santral ?? '')} || location.origin;`],
};

const server = http.createServer(async (request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost');
  const page = pages[pathname];
  if (request.method === 'GET' && page) {
    response.writeHead(200, { 'content-type': page[0] });
    response.end(page[1]());
  } else if (request.method === 'POST' && backend?.[pathname]) {
    let body = '';
    for await (const piece of request) body += piece;
    await backend[pathname](io, JSON.parse(body || '{}'));
    response.writeHead(204).end();
  } else {
    response.writeHead(404).end();
  }
});

const io = santral ? emitterOf(santral) : socketServer();

/** npm socket.io, with the handlers of the example. */
function socketServer() {
  const { Server } = require('socket.io');
  const io = new Server(server);
  io.on('connection', (socket) => sockets(io, socket));
  return io;
}

/** An emitter whose Redis is Santral: the five lines of docs/from-socket-io.md. */
function emitterOf(url) {
  const { Emitter } = require('@socket.io/redis-emitter');
  const headers = { 'content-type': 'application/octet-stream' };
  if (process.env.SANTRAL_KEY) headers.authorization = `Bearer ${process.env.SANTRAL_KEY}`;
  let last = Promise.resolve();
  const send = (channel, body) =>
    fetch(`${url}/api/socketio/emitter?channel=${encodeURIComponent(channel)}`, { method: 'POST', headers, body });
  return new Emitter({ publish: (channel, body) => (last = last.then(() => send(channel, body))) });
}

server.listen(Number(option('--port') ?? 0), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
