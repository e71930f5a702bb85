const width = 860;
const height = 400;
const margin = { left: 70, right: 20, top: 20, bottom: 50 };
const colours = ["#c26a3d", "#2a7a4b", "#8cc3a2", "#3d6ac2", "#888888"];

/** A curve of a plot: a value for each unit of the x axis, from 1 on. */
export interface Curve {
  title: string;
  values: readonly number[];
}

/** Draws curves as SVG; a shorter curve continues with its last value. */
export function plotCurves(
  curves: readonly Curve[],
  { x, y, mostX }: { x: string; y: string; mostX: number },
): string {
  const mostY = Math.max(...curves.flatMap(({ values }) => values));
  const right = width - margin.right;
  const bottom = height - margin.bottom;
  const atX = (value: number) => margin.left + ((right - margin.left) * value) / mostX;
  const atY = (value: number) => bottom - ((bottom - margin.top) * value) / mostY;
  const grid = [0, 0.25, 0.5, 0.75, 1].flatMap((part) => {
    const [gridX, gridY] = [atX(part * mostX), atY(part * mostY)];
    return [
      `<path d="M${margin.left} ${gridY}H${right}M${gridX} ${margin.top}V${bottom}" stroke="#dddddd"/>`,
      `<text x="${margin.left - 8}" y="${gridY + 5}" text-anchor="end">${Math.round(part * mostY)}</text>`,
      `<text x="${gridX}" y="${bottom + 20}" text-anchor="middle">${Math.round(part * mostX)}</text>`,
    ];
  });
  const lines = curves.map(({ values }, i) => {
    const shown = Array.from({ length: mostX + 1 }, (_, at) =>
      at === 0 ? 0 : (values[at - 1] ?? values.at(-1) ?? 0),
    );
    const points = shown.map((value, at) => `${atX(at).toFixed(1)},${atY(value).toFixed(1)}`).join(" ");
    return `<polyline points="${points}" fill="none" stroke="${colours[i]}" stroke-width="2.5"/>`;
  });
  const legend = curves.map(({ title }, i) => {
    const at = bottom - 24 * (curves.length - i);
    return (
      `<path d="M${right - 270} ${at}h30" stroke="${colours[i]}" stroke-width="4"/>` +
      `<text x="${right - 230}" y="${at + 5}">${title}</text>`
    );
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="13" fill="#222222">
<rect width="${width}" height="${height}" fill="#ffffff"/>
${grid.join("\n")}
<text x="${(margin.left + right) / 2}" y="${height - 10}" text-anchor="middle">${x}</text>
<text transform="translate(18,${(margin.top + bottom) / 2}) rotate(-90)" text-anchor="middle">${y}</text>
${lines.join("\n")}
<rect x="${right - 284}" y="${bottom - 24 * curves.length - 16}" width="280" height="${24 * curves.length + 8}" fill="#ffffff"/>
${legend.join("\n")}
</svg>
`;
}
