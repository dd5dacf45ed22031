'use strict';
// socket.io as it comes, over WebSocket: POST /pub emits its body to all. node socketio.js PORT

const http = require('node:http');
const { Server } = require('socket.io');

const server = http.createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    listeners.emit('push', Buffer.concat(parts).toString());
    response.end('ok');
  });
});
const listeners = new Server(server, { transports: ['websocket'] });
server.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096 });
