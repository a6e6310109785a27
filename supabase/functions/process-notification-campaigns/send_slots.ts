/** How many sends may be under way at once. */
export interface SlotLimits {
  readonly total: number;
  readonly perSession: number;
}

/** What the next claim may ask for. */
export interface ClaimPlan {
  /** Rows that could be sent at once, whichever sessions they belong to; 0 when there is no room. */
  readonly limit: number;
  /** Sessions that have no room. */
  readonly excluded: string[];
}

/**
 * Counts the sends under way, all told and by session, so that a session which hangs takes up its own slots and no
 * others, and so that no row is claimed that would have to wait here while its lease runs out.
 *
 * One instance serves the whole isolate: runs that overlap share it.
 */
export class SendSlots {
  readonly #taken = new Map<string, number>();
  #total = 0;
  #released = Promise.withResolvers<void>();
  #claiming: Promise<unknown> = Promise.resolve();

  /** Sends under way. */
  get taken(): number {
    return this.#total;
  }

  take(session: string): void {
    this.#taken.set(session, (this.#taken.get(session) ?? 0) + 1);
    this.#total++;
  }

  release(session: string): void {
    const left = (this.#taken.get(session) ?? 0) - 1;
    if (left > 0) this.#taken.set(session, left);
    else this.#taken.delete(session);
    this.#total--;
    this.#released.resolve();
    this.#released = Promise.withResolvers<void>();
  }

  /**
   * Runs `claim` (plan, ask the database, take) while no other run does: of two plans for the same room one would
   * overrun it. It ends within the database's timeout.
   */
  exclusively<Value>(claim: () => Promise<Value>): Promise<Value> {
    const claimed = this.#claiming.then(claim);
    this.#claiming = claimed.catch(() => {});
    return claimed;
  }

  /** Resolves when a slot is next given back. */
  released(): Promise<void> {
    return this.#released.promise;
  }

  /**
   * All rows of a claim may turn out to be of one session, so the limit is the room of the fullest session that is not
   * excluded. A session is excluded until half of its slots are free: claims of one row each would cost more than they
   * send.
   */
  plan(limits: SlotLimits): ClaimPlan {
    const excluded: string[] = [];
    let limit = Math.min(limits.total - this.#total, limits.perSession);
    for (const [session, taken] of this.#taken) {
      const free = limits.perSession - taken;
      if (free * 2 < limits.perSession) excluded.push(session);
      else limit = Math.min(limit, free);
    }
    return { limit: Math.max(limit, 0), excluded };
  }
}
