import { hexDigit } from "../ip/address.ts";
import { latin1 } from "../lib/latin1.ts";
import { ascii } from "./http/byte-writer.ts";

type Action = "announce" | "scrape";

/** The action of a path. */
export interface RouteMatch {
  readonly action: Action;
  /** Decoded named and catch-all parameters (Latin-1), or undefined if the route has none. */
  readonly params: ReadonlyMap<string, string> | undefined;
}

/** A problem of one route. */
export interface RouteProblem {
  readonly action: Action;
  /** Its index among the routes of that action. */
  readonly index: number;
  readonly message: string;
}

/** Kinds of segments, the most specific first. */
const Kind = { literal: 0, named: 1, rest: 2 } as const;

interface Segment {
  readonly kind: (typeof Kind)[keyof typeof Kind];
  /** The literal text, or the parameter's name. */
  readonly text: string;
  /** The bytes of a literal text. */
  readonly bytes: Uint8Array;
}

interface Route {
  readonly action: Action;
  readonly source: string;
  readonly segments: readonly Segment[];
}

/**
 * Lists the problems of routes: bad syntax, and a route with the same shape as another, which would never match.
 *
 * A route is a path. A whole segment may be `:name`, which matches any one segment. The last segment may be `*name`,
 * which matches the rest of the path, with its slash, or nothing. A slash at the end of a route or a path is ignored.
 */
export function validateRoutes(
  announceRoutes: readonly string[],
  scrapeRoutes: readonly string[],
): RouteProblem[] {
  return compileRoutes(announceRoutes, scrapeRoutes).problems;
}

/** Maps paths to actions. */
export class Router {
  readonly #exact: { readonly path: Uint8Array; readonly match: RouteMatch }[] = [];
  /** All routes, the most specific first. */
  readonly #routes: readonly Route[];
  /** The routes with parameters. */
  readonly #patterns: readonly Route[];

  /** @throws RangeError with the first problem of {@link validateRoutes} */
  constructor(announceRoutes: readonly string[], scrapeRoutes: readonly string[]) {
    const { routes, problems } = compileRoutes(announceRoutes, scrapeRoutes);
    if (problems[0]) throw new RangeError(problems[0].message);
    for (const route of routes) {
      if (isLiteral(route)) {
        const path = ascii(`/${route.segments.map(({ text }) => text).join("/")}`);
        this.#exact.push({ path, match: { action: route.action, params: undefined } });
      }
    }
    this.#routes = routes.sort(compareRoutes);
    this.#patterns = this.#routes.filter((route) => !isLiteral(route));
  }

  /**
   * Finds the route of the raw path `bytes[start..pathEnd)`. From left to right, literal segments win over named ones,
   * and named ones over catch-all ones. Segments are compared percent-decoded: `/%61nnounce` equals `/announce`, and
   * `/a%2Fb` is one segment. Allocates only for a path with a `%`, or if only a route with parameters can match.
   */
  match(bytes: Uint8Array, start: number, pathEnd: number): RouteMatch | undefined {
    const exact = this.#matchExact(bytes, start, pathEnd);
    if (exact !== undefined || start === pathEnd) return exact;
    const routes = hasEscape(bytes, start, pathEnd) ? this.#routes : this.#patterns;
    if (routes.length === 0) return undefined;
    const segments = latin1(bytes, start + 1, pathEnd).split("/");
    for (const route of routes) {
      const params = matchSegments(route.segments, segments);
      if (params) return { action: route.action, params: params.size === 0 ? undefined : params };
    }
    return undefined;
  }

  /** Finds the action of a path as {@link match} does. Allocates only for a path with a `%`. */
  findAction(bytes: Uint8Array, start: number, pathEnd: number): Action | undefined {
    const exact = this.#matchExact(bytes, start, pathEnd);
    if (exact !== undefined) return exact.action;
    if (start === pathEnd) return undefined;
    if (hasEscape(bytes, start, pathEnd)) return this.match(bytes, start, pathEnd)?.action;
    for (const { segments, action } of this.#patterns)
      if (hasSegments(segments, bytes, start, pathEnd)) return action;
    return undefined;
  }

  #matchExact(bytes: Uint8Array, start: number, pathEnd: number): RouteMatch | undefined {
    const end = pathEnd - start > 1 && bytes[pathEnd - 1] === slash ? pathEnd - 1 : pathEnd;
    for (const { path, match } of this.#exact) {
      if (path.length === end - start && equals(bytes, start, path)) return match;
    }
    return undefined;
  }
}

const slash = 0x2f;
const none = new Uint8Array(0);

function isLiteral({ segments }: Route): boolean {
  return segments.every(({ kind }) => kind === Kind.literal);
}

function hasEscape(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (bytes[i] === 0x25) return true;
  return false;
}

function equals(bytes: Uint8Array, at: number, path: Uint8Array): boolean {
  for (let i = 0; i < path.length; i++) if (bytes[at + i] !== path[i]) return false;
  return true;
}

/** Whether a route has a path without a `%`. */
function hasSegments(
  segments: readonly Segment[],
  path: Uint8Array,
  start: number,
  pathEnd: number,
): boolean {
  let at = start + 1;
  for (const { kind, bytes } of segments) {
    if (kind === Kind.rest) return true;
    if (at > pathEnd) return false;
    let end = at;
    while (end < pathEnd && path[end] !== slash) end++;
    const fits = kind === Kind.named ? end > at : end - at === bytes.length && equals(path, at, bytes);
    if (!fits) return false;
    at = end + 1;
  }
  return at >= pathEnd; // or only a slash is left
}

function matchSegments(route: readonly Segment[], path: readonly string[]): Map<string, string> | undefined {
  const params = new Map<string, string>();
  let i = 0;
  for (const { kind, text } of route) {
    if (kind === Kind.rest) {
      const rest = path.slice(i).join("/");
      params.set(text, rest === "" ? "" : `/${decodeSegment(rest)}`);
      return params;
    }
    const segment = path[i++];
    if (segment === undefined) return undefined;
    if (kind === Kind.named && segment !== "") params.set(text, decodeSegment(segment));
    else if (decodeSegment(segment) !== text) return undefined;
  }
  const trailingSlash = i === path.length - 1 && path[i] === "";
  return i === path.length || trailingSlash ? params : undefined;
}

/** Decodes `%XX` of a Latin-1 path byte by byte; keeps a plus and a broken escape. */
function decodeSegment(text: string): string {
  if (!text.includes("%")) return text;
  return text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) =>
    String.fromCharCode((hexDigit(hex.charCodeAt(0)) << 4) | hexDigit(hex.charCodeAt(1))),
  );
}

function compareRoutes(a: Route, b: Route): number {
  for (let i = 0; i < a.segments.length && i < b.segments.length; i++) {
    const difference = a.segments[i]!.kind - b.segments[i]!.kind;
    if (difference !== 0) return difference;
  }
  return b.segments.length - a.segments.length;
}

function compileRoutes(
  announceRoutes: readonly string[],
  scrapeRoutes: readonly string[],
): { routes: Route[]; problems: RouteProblem[] } {
  const routes: Route[] = [];
  const problems: RouteProblem[] = [];
  const shapes = new Map<string, Route>();
  const compile = (action: Action, sources: readonly string[]) => {
    for (const [index, source] of sources.entries()) {
      const problem = (text: string) =>
        problems.push({ action, index, message: `${action} route ${JSON.stringify(source)} ${text}` });
      const segments = parseRoute(source);
      if (typeof segments === "string") {
        problem(segments);
        continue;
      }
      const route = { action, source, segments };
      const shape = segments
        .map(({ kind, text }) => (kind === Kind.literal ? text : ":*"[kind - 1]))
        .join("/");
      const other = shapes.get(shape);
      if (other) problem(`has the same paths as the ${other.action} route ${JSON.stringify(other.source)}`);
      else {
        shapes.set(shape, route);
        routes.push(route);
      }
    }
  };
  compile("announce", announceRoutes);
  compile("scrape", scrapeRoutes);
  return { routes, problems };
}

/** @returns the segments, or the problem */
function parseRoute(source: string): Segment[] | string {
  if (!source.startsWith("/")) return "must begin with a slash";
  const wrong = /[^!-~]|[?#%]/.exec(source)?.[0];
  if (wrong !== undefined) return `must not contain ${JSON.stringify(wrong)}`;
  if (source.includes("//")) return "must not contain two slashes in a row";
  const texts = source.slice(1, source.length > 1 && source.endsWith("/") ? -1 : undefined).split("/");
  const segments: Segment[] = [];
  const names = new Set<string>();
  for (const [i, text] of texts.entries()) {
    const mark = text[0];
    if (mark !== ":" && mark !== "*") {
      if (/[:*]/.test(text))
        return `has a parameter that is only a part of the segment ${JSON.stringify(text)}`;
      segments.push({ kind: Kind.literal, text, bytes: ascii(text) });
      continue;
    }
    const name = text.slice(1);
    if (!/^\w+$/.test(name)) return `needs a name of letters, digits and _ after ${JSON.stringify(mark)}`;
    if (names.has(name)) return `has two parameters named ${JSON.stringify(name)}`;
    names.add(name);
    if (mark === "*" && i < texts.length - 1)
      return `must end with ${JSON.stringify(text)}, which takes all that follows`;
    segments.push({ kind: mark === ":" ? Kind.named : Kind.rest, text: name, bytes: none });
  }
  return segments;
}
