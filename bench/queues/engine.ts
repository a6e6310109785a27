/** Something that hands out work and is told that it is done. */
export interface Engine {
  /** Puts so many pieces of work in; not timed. */
  enqueue(count: number): Promise<void>;
  /**
   * Takes all of it, settles all of it.
   *
   * @returns milliseconds
   */
  drain(count: number): Promise<number>;
  close(): Promise<void>;
}

/** How an engine goes about it: in batches, or one by one. */
export interface EngineOptions {
  readonly url: string;
  /** Connections that work at the same time. */
  readonly clients: number;
  /** Pieces of work taken at once; 1 is one by one. */
  readonly batch: number;
}
