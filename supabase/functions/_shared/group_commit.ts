import type { Result } from "./result.ts";

/** Commits what several callers brought in one go; answers a share for each of them, in their order. */
export type Commit<Item, Share> = (batches: Item[][]) => Promise<Result<Share[]>>;

/** A caller that waits. */
interface Waiting<Item, Share> {
  readonly batch: Item[];
  readonly commit: Commit<Item, Share>;
  readonly settle: (share: Promise<Result<Share>>) => void;
}

/** How much may be under way, and how much may go together. */
export interface GroupCommitLimits {
  /** Commits at the same time. */
  readonly concurrent: number;
  /** Items in one commit, unless a single caller brings more. */
  readonly items: number;
}

/**
 * Lets those who come while commits are under way go together in the next one.
 *
 * No timer is involved: as long as a commit is free a caller goes at once and alone, so nobody waits who would not have
 * waited anyway, and the busier it gets the more go together.
 *
 * A commit that fails is repeated for each caller alone, so that nobody pays for what another brought; except where the
 * database is away: then it fails for all, and each is to come again.
 */
export class GroupCommit<Item, Share> {
  readonly #limits: GroupCommitLimits;
  readonly #queue: Waiting<Item, Share>[] = [];
  #underWay = 0;

  constructor(limits: GroupCommitLimits) {
    this.#limits = limits;
  }

  /** Commits a batch, with those of others perhaps: by `commit`, if its caller is the first of its group. */
  add(batch: Item[], commit: Commit<Item, Share>): Promise<Result<Share>> {
    return new Promise((settle) => {
      this.#queue.push({ batch, commit, settle });
      this.#next();
    });
  }

  #next(): void {
    while (this.#queue.length > 0 && this.#underWay < this.#limits.concurrent) {
      const group = this.#nextGroup();
      this.#underWay++;
      void commitGroup(group).finally(() => {
        this.#underWay--;
        this.#next();
      });
    }
  }

  #nextGroup(): Waiting<Item, Share>[] {
    let size = 0;
    let count = 0;
    for (const { batch } of this.#queue) {
      size += batch.length;
      if (count > 0 && size > this.#limits.items) break;
      count++;
    }
    return this.#queue.splice(0, count);
  }
}

async function commitGroup<Item, Share>(group: Waiting<Item, Share>[]): Promise<void> {
  const [first] = group;
  if (first === undefined) return;
  if (group.length === 1) return await commitAlone(first);

  const together = await first.commit(group.map(({ batch }) => batch)).catch(() => undefined);
  if (together === undefined || (!together.ok && together.failure.code !== "database_unavailable")) {
    for (const waiting of group) await commitAlone(waiting);
    return;
  }
  for (const [place, { settle }] of group.entries()) settle(Promise.resolve(shareOf(together, place)));
}

async function commitAlone<Item, Share>({ batch, commit, settle }: Waiting<Item, Share>): Promise<void> {
  const share = commit([batch]).then((result) => shareOf(result, 0));
  settle(share);
  // whoever waits for it hears what went wrong; here it is only waited for
  await share.catch(() => {});
}

function shareOf<Share>(result: Result<Share[]>, place: number): Result<Share> {
  if (!result.ok) return result;
  const share = result.value[place];
  if (share === undefined) throw new Error(`a commit answered ${result.value.length} shares, ${place + 1} were needed`);
  return { ok: true, value: share };
}
