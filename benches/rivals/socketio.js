// npm socket.io as the bench runs it (NODE_ENV=production, --expose-gc), tuned as its own pages advise:
// "Performance tuning": the native add-ons of ws, which ws finds by itself; no per-message compression.
// "Memory usage": the first request of a connection is not kept.
const http = require('http');
const { Server } = require('socket.io');

require('bufferutil');
require('utf-8-validate');

const server = http.createServer(answer);
server.keepAliveTimeout = 3600_000;
const io = new Server(server, { serveClient: false, perMessageDeflate: false });

io.engine.on('connection', (connection) => {
  connection.request = null;
});
io.on('connection', (socket) => socket.on('join', join));

// One function for all sockets: a closure for each would cost memory.
function join(room, acknowledge) {
  this.join(room);
  acknowledge({ ok: true });
}

function answer(request, response) {
  if (request.url === '/publish') return publish(request, response);
  if (request.url === '/collect') global.gc();
  response.end('{}');
}

function publish(request, response) {
  let body = '';
  request.setEncoding('utf8');
  request.on('data', (part) => (body += part));
  request.on('end', () => {
    io.to('bench').emit('message', JSON.parse(body));
    response.end('{}');
  });
}

server.listen(Number(process.env.PORT), '127.0.0.1', 4096);
