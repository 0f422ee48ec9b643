// npm peer, the server of PeerJS, as the bench runs it (NODE_ENV=production): in an express app, as its README has it, with
// room for more clients than its default of 5,000, and the native add-on of ws, which ws finds by itself.
const express = require('express');
const http = require('http');
const { ExpressPeerServer } = require('peer');

require('bufferutil');

const app = express();
const server = http.createServer(app);
app.get('/health/live', (request, response) => response.end());
app.use('/', ExpressPeerServer(server, { path: '/', concurrent_limit: 20000 }));
server.listen(Number(process.env.PORT), '127.0.0.1', 4096);
