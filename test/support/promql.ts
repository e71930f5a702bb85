import { readFileSync } from "node:fs";
import { parse } from "yaml";

/** One rule of `deploy/prometheus/rules.yaml`. */
export interface Rule {
  alert?: string;
  record?: string;
  expr: string;
  for?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

/** Reads the rules for Prometheus. */
export function readRules(): Rule[] {
  const file = parse(readFileSync("deploy/prometheus/rules.yaml", "utf8")) as { groups: { rules: Rule[] }[] };
  return file.groups.flatMap(({ rules }) => rules);
}

/** Reads the queries of all panels of the dashboard for Grafana. */
export function readDashboardQueries(): string[] {
  const { panels } = JSON.parse(readFileSync("deploy/grafana/chihaya.json", "utf8")) as {
    panels: { targets?: { expr: string }[] }[];
  };
  return panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
}

/** The part of a query that selects series of the tracker. */
export interface Selector {
  name: string;
  /** `error=~"a|b"` */
  matchers: { label: string; operator: string; value: string }[];
}

/** Finds all selectors of the tracker's metrics in a query, recorded names included. */
export function selectorsOf(query: string): Selector[] {
  return [...query.matchAll(/\b((?:chihaya|process|nodejs)[_:][\w:]+)(?:\{([^}]*)\})?/g)].map(
    ([, name, matchers = ""]) => ({
      name: name!,
      matchers: [...matchers.matchAll(/(\w+)(=~|!~|!=|=)"([^"]*)"/g)].map(([, label, operator, value]) => ({
        label: label!,
        operator: operator!,
        value: value!,
      })),
    }),
  );
}

/** One line of the text format. */
export interface SampleLine {
  name: string;
  labels: Record<string, string>;
  value: number;
}

/** Parses what `/metrics` returns. */
function parseMetrics(text: string): SampleLine[] {
  return text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const [, name, labels = "", value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line)!;
      const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)];
      return {
        name: name!,
        labels: Object.fromEntries(pairs.map(([, label, text]) => [label!, text!.replace(/\\(.)/g, "$1")])),
        value: Number(value),
      };
    });
}

/** Fetches and parses the metrics of a tracker. @param url  of the metrics listener, such as `http://127.0.0.1:6880` */
export async function fetchMetrics(url: string): Promise<SampleLine[]> {
  return parseMetrics(await (await fetch(`${url}/metrics`)).text());
}

/**
 * Fetches the metrics of a tracker.
 * @returns a function that returns the sum of all series of a name with the given labels, and throws if there are none
 */
export async function readMetrics(
  url: string,
): Promise<(name: string, wanted?: Readonly<Record<string, string>>) => number> {
  const samples = await fetchMetrics(url);
  return (name, wanted = {}) => {
    const found = samples
      .filter((sample) => sample.name === name)
      .filter(({ labels }) => Object.entries(wanted).every(([key, value]) => labels[key] === value));
    if (found.length === 0) throw new Error(`no series of ${name} has ${JSON.stringify(wanted)}`);
    return found.reduce((sum, { value }) => sum + value, 0);
  };
}

/** Returns what a selector asks for and does not find: the whole selector, or alternatives of `label=~"a|b"`. */
export function notFound({ name, matchers }: Selector, lines: readonly SampleLine[]): string[] {
  const own = matchers.filter(
    ({ label, value }) => !["job", "instance"].includes(label) && !value.includes("$"),
  );
  const found = own.reduce(
    (left, { label, operator, value }) => {
      const pattern = operator.includes("~") ? new RegExp(`^(?:${value})$`) : undefined;
      const isIt = (text: string) => pattern?.test(text) ?? text === value;
      return left.filter(({ labels }) => isIt(labels[label] ?? "") === !operator.startsWith("!"));
    },
    lines.filter((line) => line.name === name),
  );
  if (found.length === 0) return [`${name} ${JSON.stringify(own)}`];
  return own
    .filter(({ operator }) => operator === "=~")
    .flatMap(({ label, value }) => value.split("|").map((one) => ({ label, one })))
    .filter(
      ({ label, one }) => !found.some(({ labels }) => new RegExp(`^(?:${one})$`).test(labels[label] ?? "")),
    )
    .map(({ label, one }) => `${name} ${label}=${one}`);
}
