// Express with the loop that most tutorials show, as the bench runs it (NODE_ENV=production).
const express = require('express');

const clients = new Set();
const app = express();
app.disable('x-powered-by');
app.disable('etag');

app.get('/health/live', (request, response) => response.json({}));

app.get('/events', (request, response) => {
  response.set({ 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
  response.flushHeaders();
  clients.add(response);
  request.on('close', () => clients.delete(response));
});

app.post('/publish', express.text({ type: '*/*' }), (request, response) => {
  const frame = `data: ${request.body}\n\n`;
  for (const client of clients) client.write(frame);
  response.json({});
});

const server = app.listen(Number(process.env.PORT), '127.0.0.1', 4096);
server.keepAliveTimeout = 3600_000;
