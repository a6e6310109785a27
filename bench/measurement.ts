import type { Sql } from "postgres";
import type { Stack } from "../local/stack.ts";

/** One line of the table. */
export interface Row {
  /** What is measured / what it is held against. */
  readonly name: string;
  /** How many times as fast as what it is held against; null where it is held against nothing. */
  readonly ratio: number | null;
  /** What the ratio should reach; null where it is only reported. */
  readonly goal: number | null;
  /** Rates per second, sizes, and whatever explains the ratio. */
  readonly figures: Readonly<Record<string, number | string>>;
}

/** What a measurement has to work with. */
export interface Bench {
  readonly stack: Stack;
  /** One connection, as the superuser, for everything that is not timed. */
  readonly sql: Sql;
  readonly quick: boolean;
  /** Says on stderr what is going on. */
  readonly say: (line: string) => void;
}

/** One or several rows that are measured together. */
export interface Measurement {
  /** For `--only`. */
  readonly name: string;
  readonly run: (bench: Bench) => Promise<Row[]>;
}
