/**
 * Bytes to lines, wherever a network cuts them: in the middle of a line or of a character. A last
 * line without its end is never given out, because it may be half a frame.
 */
export function lineReader(): (bytes: Uint8Array) => string[] {
  const decoder = new TextDecoder();
  let rest = '';
  return (bytes) => {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n');
    rest = lines.pop() as string;
    return lines.filter(Boolean);
  };
}
