'use strict';
// ws as it comes: every WebSocket listens; POST /pub sends its body to all. node ws.js PORT

const http = require('node:http');
const { WebSocketServer } = require('ws');

const server = http.createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    const body = Buffer.concat(parts);
    for (const listener of listeners.clients) listener.send(body, { binary: false });
    response.end('ok');
  });
});
const listeners = new WebSocketServer({ server });
server.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096 });
