/**
 * The stream and poll transports: one POST, whose answer is lines of JSON. To the browser they differ
 * only in when the server ends the answer. The body is plain text, because every page may send that
 * to another origin without asking for permission first (no CORS preflight).
 */
import { CUT, type Frame, ofAnswer, ofLine } from './frames';
import { lineReader } from './lines';
import type { Open } from './transport';

type Report = (frame: Frame) => void;

/** Reports each line. Resolves to how the answer ended. */
export async function readAnswer(url: string, init: RequestInit, report: Report): Promise<Frame> {
  const response = await fetch(url, init);
  if (!response.ok) return ofAnswer(response, await response.text());
  const linesOf = lineReader();
  // Without a body that can be read piece by piece this throws, which counts as any other cut.
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return { type: '(whole)' };
    for (const line of linesOf(value)) report(ofLine(line));
  }
}

export const openHttp: Open = (url, body, report) => {
  const abort = new AbortController();
  const { signal } = abort;
  const init: RequestInit = { method: 'POST', body, signal, credentials: 'omit' };
  readAnswer(url, init, report).then(report, () => report(CUT));
  return { close: () => abort.abort() };
};
