/** Charts of the last hour, drawn by uPlot. */
import uPlot from 'uplot';
import { count, duration, make } from './elements';

export interface Line {
  label: string;
  /** The number of its colour in the style sheet: 1 to 6. */
  colour: number;
  values: (number | null)[];
}

export interface Picture {
  id: string;
  title: string;
  /** How a value is written. */
  unit: 'rate' | 'number' | 'seconds';
  lines: Line[];
  /** What an empty chart says. */
  nothing: string;
}

const HEIGHT = 170;
/** The gap, in pixels, from which an axis has a further number. */
const SPACE = { x: 70, y: 32 };
/** The width of a label of the time, in pixels. */
const LABEL = 40;

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

export function written(unit: Picture['unit'], value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  if (unit === 'seconds') return duration(value);
  return unit === 'rate' ? `${count(value)}/s` : count(value);
}

/** The newest value of a line that is one. */
export function latest({ values }: Line): number | null {
  return values.findLast((value) => value !== null) ?? null;
}

/** A chart with its title, and a legend that has the values under the pointer, or the newest ones. */
export class Chart {
  readonly element: HTMLElement;
  private readonly box = make('div', { class: 'plot' });
  private readonly legend = make('ul', { class: 'legend' });
  private plot: uPlot | null = null;
  private key = '';
  private picture: Picture | null = null;

  constructor(title: string) {
    this.element = make('figure', {}, make('figcaption', {}, title), this.legend, this.box);
  }

  show(times: number[], picture: Picture): void {
    this.picture = picture;
    const isEmpty = !picture.lines.some(({ values }) => values.some((value) => value !== null));
    this.box.setAttribute('role', 'img');
    this.box.setAttribute('aria-label', this.words(picture, isEmpty));
    if (isEmpty) {
      this.drop();
      this.legend.replaceChildren();
      this.box.replaceChildren(make('p', { class: 'nothing' }, picture.nothing));
      return;
    }
    // The colours and the width are parts of the key, because a plot has them for life.
    const key = [picture.lines.map(({ label }) => label), colour('paper'), this.width()].join();
    const data = [times, ...picture.lines.map(({ values }) => values)] as uPlot.AlignedData;
    if (this.plot && key === this.key) this.plot.setData(data);
    else this.draw(key, data, picture);
    this.tell(null);
  }

  private words({ title, unit, lines }: Picture, isEmpty: boolean): string {
    if (isEmpty) return `${title}: nothing yet`;
    const now = lines.map((line) => `${line.label} ${written(unit, latest(line))}`);
    return `${title} in the last hour, now: ${now.join(', ')}`;
  }

  private width(): number {
    return Math.max(this.box.clientWidth, 120);
  }

  private drop(): void {
    this.plot?.destroy();
    this.plot = null;
    this.key = '';
  }

  private draw(key: string, data: uPlot.AlignedData, { unit, lines }: Picture): void {
    this.drop();
    this.key = key;
    this.box.replaceChildren();
    const axis = {
      stroke: colour('quiet'),
      grid: { stroke: colour('line'), width: 1 },
      ticks: { show: false },
    };
    const options: uPlot.Options = {
      width: this.width(),
      height: HEIGHT,
      // Half of the last label of the time stands right of the picture.
      padding: [null, LABEL / 2, null, null],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: { y: { range: (_plot, _low, high) => [0, high > 0 ? high * 1.1 : 1] } },
      axes: [
        { ...axis, space: SPACE.x, size: 28, values: (_plot, ticks) => ticks.map(minutes) },
        {
          ...axis,
          space: SPACE.y,
          size: 62,
          values: (_plot, ticks) => ticks.map((tick) => written(unit, tick)),
        },
      ],
      series: [
        {},
        ...lines.map((line) => ({
          label: line.label,
          stroke: colour(`line-${line.colour}`),
          width: 1.5,
          points: { show: false },
        })),
      ],
      hooks: { setCursor: [(plot) => this.tell(plot.cursor.idx ?? null)] },
    };
    this.plot = new uPlot(options, data, this.box);
  }

  /** Fills the legend. `index`: of the time under the pointer, null: the newest values. */
  private tell(index: number | null): void {
    if (!this.picture) return;
    const { unit, lines } = this.picture;
    const rows = lines.map((line) => {
      const value = index === null ? latest(line) : line.values[index];
      const dot = make('span', { class: `dot colour-${line.colour}`, 'aria-hidden': 'true' });
      return make('li', {}, dot, `${line.label} `, make('b', {}, written(unit, value)));
    });
    this.legend.replaceChildren(...rows);
  }
}

function minutes(time: number): string {
  const words = new Date(time * 1000).toLocaleTimeString([], { hour12: false });
  return words.slice(0, 5);
}
