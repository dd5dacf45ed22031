/** Elements of the page. Everything goes into it as text, never as markup. */

export type Child = Node | string | number | null;

type Properties = Record<string, string | number | boolean | ((event: Event) => void)>;

/** Finds an element that the page has. */
export function find<Kind extends HTMLElement>(id: string): Kind {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no #${id}`);
  return found as Kind;
}

/** Makes an element. A property `onclick` is a handler; `class` and names with a hyphen are attributes. */
export function make<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  properties: Properties = {},
  ...children: Child[]
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (typeof value === 'function') made.addEventListener(key.slice(2), value);
    else if (typeof value === 'boolean') made.toggleAttribute(key, value);
    else made.setAttribute(key, `${value}`);
  }
  made.append(...children.map((child) => (child instanceof Node ? child : `${child ?? '–'}`)));
  return made;
}

export interface Column {
  title: string;
  isNumber?: boolean;
  /** Whether the column takes what is left of the width, and breaks its lines. */
  isWide?: boolean;
}

/** A row of a table: one value for each column. */
export type Row = Child[];

/** A table in a box that scrolls sideways where it is too narrow. `nothing`: what an empty one says. */
export function table(name: string, columns: Column[], rows: Row[], nothing: string): HTMLElement {
  if (!rows.length) return make('p', { class: 'nothing' }, nothing);
  const kind = ({ isNumber, isWide }: Column) => (isNumber ? 'number' : isWide ? 'wide' : '');
  const head = columns.map((column) =>
    make('th', { scope: 'col', class: kind(column) }, column.title),
  );
  const body = rows.map((row) =>
    make(
      'tr',
      {},
      ...row.map((value, i) => {
        const column = columns[i] as Column;
        return make('td', { class: kind(column), 'data-title': column.title }, value);
      }),
    ),
  );
  // On a narrow screen, each row of a table with sentences becomes a card.
  const stacks = columns.some(({ isWide }) => isWide);
  const made = make(
    'table',
    { class: stacks ? 'stacks' : '' },
    make('caption', { class: 'unseen' }, name),
    make('thead', {}, make('tr', {}, ...head)),
    make('tbody', {}, ...body),
  );
  // A box that scrolls must be reachable by keyboard.
  return make('div', { class: 'scrolls', tabindex: 0, role: 'region', 'aria-label': name }, made);
}

/** A link to a view of this page. */
export function link(view: string, query: Record<string, string>, words: string): HTMLElement {
  return make('a', { href: `#${view}?${new URLSearchParams(query)}` }, words);
}

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });

/** A number with its thousands set apart; a small one with three digits. */
export function count(value: number | null): string {
  if (value === null) return '–';
  return Math.abs(value) < 100 ? short.format(value) : whole.format(value);
}

/** Seconds in the unit that suits them. */
export function duration(seconds: number | null): string {
  if (seconds === null) return '–';
  if (seconds === 0) return '0';
  if (seconds < 0.001) return `${short.format(seconds * 1e6)} µs`;
  if (seconds < 1) return `${short.format(seconds * 1000)} ms`;
  if (seconds < 120) return `${short.format(seconds)} s`;
  if (seconds < 7200) return `${whole.format(seconds / 60)} min`;
  if (seconds < 172_800) return `${whole.format(seconds / 3600)} h`;
  return `${whole.format(seconds / 86_400)} d`;
}

export function bytes(size: number | null): string {
  if (size === null) return '–';
  if (size < 1000) return `${size} B`;
  const [divisor, unit] = size < 1e6 ? [1e3, 'kB'] : size < 1e9 ? [1e6, 'MB'] : [1e9, 'GB'];
  return `${short.format(size / divisor)} ${unit}`;
}

/** The time of day, in the reader's own zone. `time`: Unix seconds. */
export function clock(time: number): string {
  return new Date(time * 1000).toLocaleTimeString([], { hour12: false });
}
