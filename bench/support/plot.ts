import { groups, type Report, type Row, titleOf } from "./report.ts";

const width = 860;
const panelHeight = 360;
const margin = { left: 60, right: 240, top: 46, bottom: 50 };
/** Ticks of both axes, within each power of ten. */
const ticks = [1, 2, 5];
/** Pixels between the names at the ends of the lines. */
const nameHeight = 17;

/** Contestants without a line of their own, since it would lie on another's. */
const omitted = /whitelist|portable, 2/;

/** Colours that can be told apart on white and on dark grey; the last serves all the others. */
const styles: readonly [name: RegExp, colour: string, stroke: string][] = [
  [/^chihaya, linux, 1 worker$/, "#1f9d57", 'stroke-width="4"'],
  [/^chihaya, linux/, "#1f9d57", 'stroke-width="2" stroke-dasharray="6 4"'],
  [/^chihaya, portable/, "#8a9a5b", 'stroke-width="2"'],
  [/^opentracker/, "#d9752b", 'stroke-width="2.5"'],
  [/^aquatic/, "#3f7fd9", 'stroke-width="2.5"'],
  [/^chihaya-go/, "#b05bc9", 'stroke-width="2.5"'],
  [/^floor/, "#8c8c8c", 'stroke-width="2" stroke-dasharray="2 3"'],
  [/./, "#c9554f", 'stroke-width="2"'],
];

/**
 * Draws the CPU time a request against the rate of requests as SVG, on logarithmic axes: a panel for each load, and a line
 * for each contestant, whose last point is the saturated run. The colours follow the viewer's preference for light or dark.
 */
export function plot(report: Report): string {
  const first = report.measured[0]?.torrents;
  const panels = groups(report)
    .filter(([row]) => row!.torrents === first)
    .map((rows) => rows.filter(({ contestant }) => !omitted.test(contestant)));
  const height = panels.length * panelHeight;
  const drawn = panels.map(
    (rows, i) => `<g transform="translate(0,${i * panelHeight})">\n${drawPanel(rows)}</g>\n`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="13">
<style>
.back { fill: #ffffff } .text { fill: #222222 } .grid { stroke: #dddddd }
@media (prefers-color-scheme: dark) { .back { fill: #16191d } .text { fill: #e4e6e8 } .grid { stroke: #3a4047 } }
</style>
<rect class="back" width="${width}" height="${height}"/>
${drawn.join("")}</svg>
`;
}

function drawPanel(rows: readonly Row[]): string {
  const [left, right] = [margin.left, width - margin.right];
  const [top, bottom] = [margin.top, panelHeight - margin.bottom];
  const x = scale(rows.map(rateOf), left, right);
  const y = scale(
    rows.map((row) => row.cpuMicroseconds),
    bottom,
    top,
  );
  const grid = [
    ...x.ticks.map(
      (rate) =>
        `<path class="grid" d="M${x.at(rate)} ${top}V${bottom}"/><text class="text" x="${x.at(rate)}" y="${bottom + 18}" text-anchor="middle">${rate.toLocaleString("en-US")}</text>`,
    ),
    ...y.ticks.map(
      (cpu) =>
        `<path class="grid" d="M${left} ${y.at(cpu)}H${right}"/><text class="text" x="${left - 8}" y="${y.at(cpu) + 4}" text-anchor="end">${cpu}</text>`,
    ),
  ];
  const lines = [...Map.groupBy(rows, ({ contestant }) => contestant)].map(([name, points]) => ({
    name,
    points: points.map((row) => ({ x: x.at(rateOf(row)), y: y.at(row.cpuMicroseconds) })),
  }));
  const names = spread(
    lines.map(({ points }) => points.at(-1)!.y),
    bottom + 10,
  );
  const drawn = lines.map(({ name, points }, i) => {
    const [, colour, stroke] = styles.find(([pattern]) => pattern.test(name))!;
    const last = points.at(-1)!;
    const path = points.map((point) => `${point.x},${point.y}`).join(" ");
    const dots = points.slice(0, -1).map((point) => `<circle cx="${point.x}" cy="${point.y}" r="3"/>`);
    return `<g fill="${colour}" stroke="${colour}"><polyline points="${path}" fill="none" ${stroke}/>${dots.join("")}<rect x="${last.x - 4}" y="${last.y - 4}" width="8" height="8"/><path d="M${last.x + 6} ${last.y}L${right + 6} ${names[i]}" fill="none" stroke-opacity="0.4"/><text class="text" x="${right + 10}" y="${names[i]! + 4}" stroke="none">${name}</text></g>`;
  });
  return `<text class="text" x="10" y="24" font-size="15" font-weight="bold">${titleOf(rows[0]!)}</text>
${grid.join("\n")}
<text class="text" x="${(left + right) / 2}" y="${bottom + 38}" text-anchor="middle">requests a second; a square is saturated</text>
<text class="text" transform="translate(18,${(top + bottom) / 2}) rotate(-90)" text-anchor="middle">CPU µs a request</text>
${drawn.join("\n")}
`;
}

/** A logarithmic axis from `start` to `end` that has all values on it. */
function scale(
  values: readonly number[],
  start: number,
  end: number,
): { at(value: number): number; ticks: number[] } {
  const [least, most] = [0.9 * Math.min(...values), 1.1 * Math.max(...values)];
  const length = (end - start) / Math.log(most / least);
  const at = (value: number) => Math.round(start + length * Math.log(value / least));
  const shown: number[] = [];
  for (let power = 10 ** Math.floor(Math.log10(least)); power <= most; power *= 10) {
    shown.push(...ticks.map((tick) => tick * power).filter((tick) => tick >= least && tick <= most));
  }
  return { at, ticks: shown };
}

/** The rate that was asked for; of a saturated run, the rate that the contestant managed. */
function rateOf({ rate, requestsPerSecond }: Row): number {
  return rate ?? requestsPerSecond;
}

/** Moves positions apart until each has the height of a name, in their order, and none is below `end`. */
function spread(positions: readonly number[], end: number): number[] {
  const moved = [...positions];
  const order = positions.map((_, i) => i).sort((a, b) => positions[a]! - positions[b]!);
  let least = Number.NEGATIVE_INFINITY;
  for (const i of order) {
    moved[i] = Math.max(moved[i]!, least);
    least = moved[i]! + nameHeight;
  }
  let most = end;
  for (const i of order.reverse()) {
    moved[i] = Math.min(moved[i]!, most);
    most = moved[i]! - nameHeight;
  }
  return moved;
}
