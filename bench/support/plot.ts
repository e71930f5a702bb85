import type { Workload } from "./contestants.ts";
import { type Row, workloadNames } from "./report.ts";

const width = 860;
const labelWidth = 250;
const barHeight = 18;
const rowHeight = 24;
const titleHeight = 40;
const barWidth = width - labelWidth - 90;

/** Draws the CPU time per request of all contestants as bars in SVG, with a panel for each load and population. */
export function plot(rows: readonly Row[]): string {
  const panels = [...Map.groupBy(rows, ({ workload, torrents }) => `${torrents} ${workload}`).values()];
  let top = 0;
  const drawn = panels.map((panel) => {
    const svg = `<g transform="translate(0,${top})">\n${drawPanel(panel)}</g>\n`;
    top += titleHeight + panel.length * rowHeight + 10;
    return svg;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${top}" viewBox="0 0 ${width} ${top}" font-family="sans-serif" font-size="13">
<rect width="${width}" height="${top}" fill="#ffffff"/>
${drawn.join("")}</svg>
`;
}

function drawPanel(rows: readonly Row[]): string {
  const { workload, torrents, peers } = rows[0]!;
  const [largest, second] = rows.map((row) => row.cpuMicroseconds).sort((a, b) => b - a);
  const most = Math.min(largest!, 1.5 * (second ?? largest!)); // a far longer bar is cut, so that the others differ visibly
  const title = `${workloadNames[workload as Workload]}, ${torrents.toLocaleString("en-US")} torrents, ${peers.toLocaleString("en-US")} peers: CPU µs a request`;
  const bars = rows.map((row, i) => {
    const y = titleHeight + i * rowHeight;
    const length = Math.max(1, Math.round(barWidth * Math.min(1, row.cpuMicroseconds / most)));
    const cutAt = labelWidth + length - 30;
    const cut =
      row.cpuMicroseconds > most
        ? `<path d="M${cutAt} ${y + barHeight}l8 -${barHeight}h6l-8 ${barHeight}z" fill="#ffffff"/>`
        : "";
    const middle = y + barHeight / 2 + 5;
    return (
      `<text x="${labelWidth - 8}" y="${middle}" text-anchor="end" fill="#222222">${row.contestant}</text>` +
      `<rect x="${labelWidth}" y="${y}" width="${length}" height="${barHeight}" fill="${colour(row.contestant)}"/>${cut}` +
      `<text x="${labelWidth + length + 6}" y="${middle}" fill="#222222">${row.cpuMicroseconds.toFixed(1)}</text>\n`
    );
  });
  return `<text x="10" y="24" font-size="15" font-weight="bold" fill="#222222">${title}</text>\n${bars.join("")}`;
}

function colour(contestant: string): string {
  if (contestant.startsWith("chihaya, linux")) return "#2a7a4b";
  if (contestant.startsWith("chihaya")) return "#8cc3a2";
  return contestant.startsWith("floor") ? "#bbbbbb" : "#c26a3d";
}
