import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import type { Columns } from "./history.ts";
import { newest } from "./history.ts";

/** A line of a chart. */
export interface Line {
  readonly label: string;
  readonly values: readonly (number | null)[];
  /** Number of a colour of the style sheet: `--c1` ... */
  readonly color: number;
  readonly isDashed?: boolean;
  /** Whether the area below is filled. */
  readonly isFilled?: boolean;
}

export interface ChartProps {
  readonly name: string;
  readonly times: Columns["times"];
  /** Seconds that the chart covers. */
  readonly seconds: number;
  readonly lines: readonly Line[];
  readonly format: (value: number | null) => string;
  /** Changes when the colours change. */
  readonly theme: string;
  readonly height?: number;
  /** Shown while there is no value. */
  readonly empty: string;
}

const cursorKey = "chihaya";

/** Draws lines over time, with the newest values, or those below the cursor, as the legend. */
export function Chart(props: ChartProps) {
  const { name, times, lines, format, theme, height = 150, seconds, empty } = props;
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot>(undefined);
  const latest = useRef(props);
  latest.current = props;
  const [index, setIndex] = useState<number | null>(null);
  const shape = lines.map(({ label }) => label).join();

  // Other data is set below, without a new chart.
  useEffect(() => {
    const element = place.current!;
    const plot = new uPlot(describe(latest, element, height, setIndex), toData(latest.current), element);
    chart.current = plot;
    const observer = new ResizeObserver(() => {
      const width = element.clientWidth;
      if (width > 0 && width !== plot.width) plot.setSize({ width, height });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.destroy();
      chart.current = undefined;
    };
  }, [theme, shape, height]);

  useEffect(() => {
    chart.current?.setData(toData(latest.current));
  }, [times, seconds]);

  const at = index !== null && index < times.length ? index : null;
  const isEmpty = lines.every(({ values }) => newest(values) === null);
  const shown = lines.map((line) => ({
    ...line,
    value: format(at === null ? newest(line.values) : (line.values[at] ?? null)),
  }));
  const summary = shown.map(({ label, value }) => `${label} ${value}`).join(", ");
  return (
    <figure class="chart">
      <figcaption>
        {shown.map(({ label, color, value, isDashed }) => (
          <span class="key" key={label}>
            <i class={`line c${color}${isDashed ? " dashed" : ""}`} aria-hidden="true" />
            {label} <b>{value}</b>
          </span>
        ))}
        <time class="at">{at === null ? "" : formatTime(times[at]!, seconds > 86_400)}</time>
      </figcaption>
      <div class="plot" ref={place} role="img" aria-label={`${name}: ${summary}`} />
      {isEmpty && <p class="hollow">{empty}</p>}
    </figure>
  );
}

function toData({ times, lines }: ChartProps): uPlot.AlignedData {
  return [times as number[], ...lines.map(({ values }) => values as (number | null)[])];
}

function describe(
  latest: { current: ChartProps },
  element: HTMLElement,
  height: number,
  onIndex: (index: number | null) => void,
): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const color = (name: string) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: color("--muted"),
    font: "11px system-ui, sans-serif",
    grid: { stroke: color("--grid"), width: 1 },
    ticks: { show: false },
  };
  return {
    width: Math.max(element.clientWidth, 100),
    height,
    padding: [8, 18, 0, 0],
    legend: { show: false },
    cursor: {
      y: false,
      drag: { x: false, y: false },
      sync: { key: cursorKey },
      points: { size: 6 },
    },
    scales: {
      x: {
        time: true,
        range: () => {
          const { times, seconds } = latest.current;
          const end = times.at(-1) ?? Date.now() / 1000;
          return [end - seconds, end];
        },
      },
      y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.08 : 1] },
    },
    axes: [
      {
        ...axis,
        size: 22,
        gap: 4,
        space: 70,
        values: (_plot, splits) => splits.map((time) => formatTick(time, latest.current.seconds)),
      },
      {
        ...axis,
        size: 54,
        gap: 6,
        space: 34,
        values: (_plot, splits) => splits.map((value) => latest.current.format(value)),
      },
    ],
    series: [
      {},
      ...latest.current.lines.map(
        ({ label, color: number, isDashed, isFilled }): uPlot.Series => ({
          label,
          stroke: color(`--c${number}`),
          width: 1.5,
          points: { show: false },
          spanGaps: false,
          ...(isDashed && { dash: [4, 3] }),
          ...(isFilled && { fill: color(`--c${number}-fill`) }),
        }),
      ),
    ],
    hooks: { setCursor: [(plot) => onIndex(plot.cursor.idx ?? null)] },
  };
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const clockWithSeconds = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const day = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric" });

function formatTick(time: number, seconds: number): string {
  const date = new Date(time * 1000);
  if (seconds > 86_400 && date.getHours() === 0 && date.getMinutes() === 0) return day.format(date);
  return clock.format(date);
}

function formatTime(time: number, hasDay: boolean): string {
  const date = new Date(time * 1000);
  return hasDay ? `${day.format(date)} ${clock.format(date)}` : clockWithSeconds.format(date);
}
