/** What became of the journaled events of one source and reason. */
export interface ReplayRow {
  readonly source: string;
  readonly reason: string;
  readonly tried: number;
  readonly applied: number;
  /** Of those left: refused by the database with an error. */
  readonly refused: number;
  readonly left: number;
  /** When the oldest of those left came in; null where none is left. */
  readonly oldest: Date | null;
}

/** A journaled event, without what it says. */
export interface JournaledEvent {
  readonly id: string;
  readonly source: string;
  readonly reason: string;
  readonly received_at: Date;
}

/** What came of trying one; refused by the database with which SQLSTATE. */
export type Outcome =
  | { readonly kind: "applied" | "left" }
  | { readonly kind: "refused"; readonly sqlState: string };

/** Counts what becomes of events, by source and reason, in one pass over the journal. */
export class Tally {
  readonly #rows = new Map<string, ReplayRow>();

  /** @param earlier The pass before this one: what it applied counts on, what it left is tried again. */
  constructor(earlier?: Tally) {
    for (const { source, reason, applied } of earlier?.rows ?? []) {
      if (applied > 0) this.#put({ ...this.#rowOf(source, reason), tried: applied, applied });
    }
  }

  get rows(): readonly ReplayRow[] {
    return [...this.#rows.values()];
  }

  /** How many events found their place. */
  get applied(): number {
    return this.rows.reduce((sum, row) => sum + row.applied, 0);
  }

  add({ source, reason, received_at }: JournaledEvent, outcome: Outcome): void {
    const row = this.#rowOf(source, reason);
    const isApplied = outcome.kind === "applied";
    this.#put({
      ...row,
      tried: row.tried + 1,
      applied: row.applied + Number(isApplied),
      refused: row.refused + Number(outcome.kind === "refused"),
      left: row.left + Number(!isApplied),
      oldest: isApplied || (row.oldest !== null && row.oldest <= received_at) ? row.oldest : received_at,
    });
  }

  /** Counts events that nobody tries. */
  addUntried(source: string, reason: string, count: number, oldest: Date): void {
    this.#put({ ...this.#rowOf(source, reason), left: count, oldest });
  }

  #rowOf(source: string, reason: string): ReplayRow {
    return this.#rows.get(`${source} ${reason}`) ??
      { source, reason, tried: 0, applied: 0, refused: 0, left: 0, oldest: null };
  }

  #put(row: ReplayRow): void {
    this.#rows.set(`${row.source} ${row.reason}`, row);
  }
}
