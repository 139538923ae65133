// Small SVG charts, drawn on the server: they show before any script runs and weigh next to nothing.
import { html, type Html } from './html.ts';

const width = 600;
const height = 96;

export interface Series {
  /** A class of the style sheet, for the colour. */
  readonly className: 'received' | 'delivered' | 'failed' | 'waiting';
  readonly name: string;
  /** One per minute or day, latest last; undefined if nobody looked. */
  readonly values: readonly (number | undefined)[];
}

/** The labels of both ends of the time axis, and the unit of a bar. */
export interface Axis {
  readonly first: string;
  readonly last: string;
  readonly per: string;
}

const lastHour: Axis = { first: '1 h ago', last: 'now', per: 'min' };
/** Keeps a single day from becoming a wall. */
const barWidthMax = 24;

/** One bar per minute (or the axis's unit) and series, side by side. */
export function barChart(title: string, series: readonly Series[], axis = lastHour): Html {
  const top = Math.max(1, ...series.flatMap(({ values }) => values.map((value) => value ?? 0)));
  const slot = width / Math.max(1, series[0]?.values.length ?? 1);
  const barWidth = Math.min((slot * 0.8) / series.length, barWidthMax);
  const margin = (slot - barWidth * series.length) / 2;
  return chart({ title, series, top, axis }, [
    series.map(({ className, values }, at) =>
      values.map((value = 0, minute) => {
        const barHeight = value === 0 ? 0 : Math.max(1.5, (value / top) * height);
        return (
          value > 0 &&
          html`<rect
            class="${className}"
            x="${(minute * slot + margin + at * barWidth).toFixed(1)}"
            y="${(height - barHeight).toFixed(1)}"
            width="${barWidth.toFixed(1)}"
            height="${barHeight.toFixed(1)}"
          ></rect>`
        );
      }),
    ),
  ]);
}

export function lineChart(title: string, series: Series): Html {
  const top = Math.max(1, ...series.values.map((value) => value ?? 0));
  const step = width / Math.max(1, series.values.length - 1);
  const points = series.values.flatMap((value, minute) =>
    value === undefined ? [] : [{ x: minute * step, y: height - (value / top) * (height - 2) - 1 }],
  );
  const line = points.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(' ');
  const [first, last] = [points[0], points.at(-1)];
  return chart({ title, series: [series], top, axis: lastHour }, [
    first !== undefined &&
      last !== undefined &&
      html`<polygon
          class="${series.className}"
          opacity="0.12"
          points="${first.x.toFixed(1)},${height} ${line} ${last.x.toFixed(1)},${height}"
        ></polygon>
        <polyline
          class="${series.className}"
          fill="none"
          stroke-width="2"
          vector-effect="non-scaling-stroke"
          points="${line}"
        ></polyline>`,
  ]);
}

interface Frame {
  readonly title: string;
  readonly series: readonly Series[];
  readonly top: number;
  readonly axis: Axis;
}

const gridLines = [0.5, height / 2, height - 0.5].map(
  (y) => html`<line x1="0" x2="${width}" y1="${y}" y2="${y}" vector-effect="non-scaling-stroke"></line>`,
);

function chart({ title, series, top, axis }: Frame, marks: Parameters<typeof html>[1]): Html {
  const summary = series.map(({ name, values }) => `${name}: ${sum(values)}`).join(', ');
  return html`<figure class="card">
    <figcaption class="row">
      <b>${title}</b>
      ${series.map(({ className, name }) => html`<small><span class="${className} toned" aria-hidden="true">■</span> ${name}</small>`)}
    </figcaption>
    <svg viewBox="0 0 ${width} ${height}" preserveAspectRatio="none" role="img" aria-label="${title}. ${summary}">
      ${gridLines} ${marks}
    </svg>
    <small class="row axis"
      ><span>${axis.first}</span><span>peak ${top}/${axis.per}</span><span>${axis.last}</span></small
    >
  </figure>`;
}

function sum(values: readonly (number | undefined)[]): number {
  return values.reduce<number>((total, value) => total + (value ?? 0), 0);
}
