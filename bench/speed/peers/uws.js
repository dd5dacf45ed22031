'use strict';
// uWebSockets.js as it comes: every WebSocket subscribes to one topic; POST /pub publishes its body. node uws.js PORT

const uWS = require('@btc-vision/uwebsockets.js');

const app = uWS.App();
app.ws('/*', { compression: uWS.DISABLED, idleTimeout: 0, open: (listener) => listener.subscribe('bench') });
app.post('/pub', (response) => {
  let body = Buffer.alloc(0);
  response.onAborted(() => {});
  response.onData((part, last) => {
    body = Buffer.concat([body, Buffer.from(part)]);
    if (!last) return;
    app.publish('bench', body, false);
    response.end('ok');
  });
});
app.listen('127.0.0.1', Number(process.argv[2]), (listening) => {
  if (!listening) process.exit(1);
});
