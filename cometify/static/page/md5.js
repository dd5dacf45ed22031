/** MD5 (RFC 1321). Browsers have no function for it, and the server's signatures are made of it. */

const ROTATIONS = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21];
const SINES = Array.from({ length: 64 }, (_, i) => Math.floor(Math.abs(Math.sin(i + 1)) * 2 ** 32));
const BLOCK = 64;

/** The bytes, a one bit, zeros, and the length in bits, as whole blocks (section 3.1 and 3.2). */
function pad(bytes) {
  const whole = new Uint8Array((((bytes.length + 8) >> 6) + 1) * BLOCK);
  whole.set(bytes);
  whole[bytes.length] = 0x80;
  const padded = new DataView(whole.buffer);
  padded.setUint32(padded.byteLength - 8, bytes.length << 3, true);
  padded.setUint32(padded.byteLength - 4, bytes.length >>> 29, true);
  return padded;
}

/** The four words of the sum after one more block (section 3.4). */
function addBlock(sum, padded, start) {
  let [a, b, c, d] = sum;
  for (let i = 0; i < 64; i++) {
    const round = i >> 4;
    const mixed = [(b & c) | (~b & d), (d & b) | (~d & c), b ^ c ^ d, c ^ (b | ~d)][round];
    const word = [i, 5 * i + 1, 3 * i + 5, 7 * i][round] % 16;
    const turned = (a + mixed + SINES[i] + padded.getUint32(start + word * 4, true)) | 0;
    const by = ROTATIONS[round * 4 + (i % 4)];
    [a, d, c, b] = [d, c, b, (b + ((turned << by) | (turned >>> (32 - by)))) | 0];
  }
  return [a, b, c, d].map((part, i) => (sum[i] + part) | 0);
}

/** A word in hex. Its lowest byte comes first. */
function hexOf(word) {
  const bytes = [word, word >>> 8, word >>> 16, word >>> 24];
  return bytes.map((byte) => (byte & 255).toString(16).padStart(2, '0')).join('');
}

/** The MD5 of a string's UTF-8 bytes, in hex. */
export function md5hex(value) {
  const padded = pad(new TextEncoder().encode(value));
  let sum = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476];
  for (let start = 0; start < padded.byteLength; start += BLOCK) {
    sum = addBlock(sum, padded, start);
  }
  return sum.map(hexOf).join('');
}
