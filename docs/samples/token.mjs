// A token: the right to secret pushes for ten minutes. Node 18 or newer, nothing to install.
import { createHmac } from 'node:crypto';

const apiSecret = 'YOUR_API_SECRET';
const claims = {
  identifiers: ['chat', 'metrics_*'], // a trailing * stands for a prefix
  iat: Math.floor(Date.now() / 1000),
  exp: Math.floor(Date.now() / 1000) + 600,
  sub: 'user_7', // the visitor: you can disconnect this name later
};

const encoded = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

const signed = `${encoded({ alg: 'HS256', typ: 'JWT' })}.${encoded(claims)}`;
console.log(`${signed}.${createHmac('sha256', apiSecret).update(signed).digest('base64url')}`);
