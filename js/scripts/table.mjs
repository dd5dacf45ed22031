/** A Markdown table in the format of Prettier and Biome: columns of one width, the last two for figures. */
export function table(head, rows) {
  const all = [head, ...rows];
  const widths = [0, 1, 2, 3].map((i) => Math.max(...all.map((cells) => cells[i].length), 3));
  const line = (cells) =>
    `| ${cells.map((cell, i) => (i < 2 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join(' | ')} |`;
  const rule = widths.map((width, i) => (i < 2 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}
