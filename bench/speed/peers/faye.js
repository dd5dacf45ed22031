'use strict';
// faye as it comes, WebSocket and long polling; it is published to over its own protocol. node faye.js PORT

const http = require('node:http');
const faye = require('faye');

const server = http.createServer();
new faye.NodeAdapter({ mount: '/bayeux', timeout: 45 }).attach(server);
server.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096 });
