// The secureKey for one list of identifiers, in exactly this order.
import { createHash } from 'node:crypto';

const apiKey = 'YOUR_API_KEY';
const apiSecret = 'YOUR_API_SECRET';
const identifiers = ['metrics', 'tweets'];

const md5hex = (value) => createHash('md5').update(value).digest('hex');

console.log(md5hex(apiKey + apiSecret + md5hex(identifiers.join(','))));
