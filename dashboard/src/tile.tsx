import type { ComponentChildren } from "preact";
import type { ApiError } from "./api.ts";

/** A card with a heading. */
export function Tile(props: {
  readonly title: string;
  readonly size: string;
  readonly aside?: ComponentChildren;
  readonly children: ComponentChildren;
}) {
  const { title, size, aside, children } = props;
  const id = `tile-${title.toLowerCase().replaceAll(/[^a-z]+/g, "-")}`;
  return (
    <section class={`tile ${size}`} aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        {aside}
      </header>
      {children}
    </section>
  );
}

/** A sentence in place of content. */
export function Hollow({ children }: { readonly children: ComponentChildren }) {
  return <p class="hollow">{children}</p>;
}

/** Shows why a tile has no content, or its content once there is some. */
export function Loaded<T>(props: {
  readonly content: T | undefined;
  readonly error: ApiError | undefined;
  readonly children: (content: T) => ComponentChildren;
}) {
  const { content, error, children } = props;
  if (content !== undefined) {
    return (
      <>
        {children(content)}
        {error !== undefined && error.status !== 0 && <p class="stale">Not current: {error.message}</p>}
      </>
    );
  }
  if (error === undefined) return <Hollow>Reading …</Hollow>;
  if (error.status === 404) return <Hollow>Not available: this tracker does not have it.</Hollow>;
  if (error.status === 401 || error.status === 403) return <Hollow>Sign in to see this.</Hollow>;
  return <Hollow>Could not be read: {error.message}</Hollow>;
}
