import type { Reception } from "./members.ts";
import type { GroupRecord, GroupTotals, TakenSend } from "./record.ts";

type Writable<Shape> = { -readonly [Key in keyof Shape]: Shape[Key] };

/** One message taken, while it is being played. */
export type OpenSend = Writable<TakenSend>;

/** One group, while it is being played. */
export interface OpenGroup {
  readonly groupJid: string;
  readonly memberCount: number;
  requests: number;
  rejected: number;
  busy: number;
  readonly sends: OpenSend[];
  anonymous: boolean;
  /** Null until a message has gone out. */
  reception: Reception | null;
}

/** What came of a request: the message taken, and whom it is for; or why it was rejected. */
type KnownRequest = { readonly send: OpenSend; readonly group: OpenGroup } | { readonly rejected: string };

/** Where the gateway writes down what became of each group, as it happens. */
export class Ledger {
  readonly #groups = new Map<string, OpenGroup>();
  /** The fate of each request, by clientMessageId: the last message taken, or the reason it was rejected. */
  readonly #requests = new Map<string, KnownRequest>();

  /** The entry of a group, made at its first request. */
  group(groupJid: string, memberCount: number): OpenGroup {
    const known = this.#groups.get(groupJid);
    if (known !== undefined) return known;
    const group = {
      groupJid,
      memberCount,
      requests: 0,
      rejected: 0,
      busy: 0,
      sends: [],
      anonymous: false,
      reception: null,
    };
    this.#groups.set(groupJid, group);
    return group;
  }

  /** Writes down a message that was taken, whether or not there should have been one. */
  took(group: OpenGroup, send: OpenSend): void {
    group.sends.push(send);
    this.#requests.set(send.clientMessageId, { send, group });
  }

  /** Writes down a request that was refused with a reason. */
  rejected(group: OpenGroup, clientMessageId: string, reason: string): void {
    group.rejected++;
    this.#requests.set(clientMessageId, { rejected: reason });
  }

  /** What the gateway knows of a request; undefined when it never came. */
  request(clientMessageId: string): KnownRequest | undefined {
    return this.#requests.get(clientMessageId);
  }

  /** The sums of everything written down so far. */
  get totals(): GroupTotals {
    const groups = this.groups(false);
    const sum = (figure: (group: GroupRecord) => number) => groups.reduce((total, group) => total + figure(group), 0);
    const count = (holds: (group: GroupRecord) => boolean) => groups.filter(holds).length;
    const wentOut = (group: GroupRecord) => group.sends.filter((send) => send.status === "sent").length;
    return {
      groups: groups.length,
      requests: [...this.#groups.values()].reduce((total, group) => total + group.requests, 0),
      sends: sum((group) => group.sends.length),
      doubleSends: sum((group) => Math.max(0, wentOut(group) - 1)),
      sent: count((group) => group.status === "sent"),
      failed: count((group) => group.status === "failed"),
      delivered: sum((group) => group.delivered),
      read: sum((group) => group.read),
      reached: count((group) => group.delivered > 0),
    };
  }

  /**
   * Everything written down so far, group by group.
   * @param readers also name the people behind each count
   */
  groups(readers: boolean): GroupRecord[] {
    return [...this.#groups.values()].map((group) => groupRecord(group, readers));
  }
}

function groupRecord(group: OpenGroup, readers: boolean): GroupRecord {
  const { groupJid, memberCount, rejected, busy, anonymous, reception } = group;
  return {
    groupJid,
    memberCount,
    status: statusOf(group),
    sends: group.sends.map((send) => ({ ...send })),
    rejected,
    busy,
    anonymous,
    delivered: reception?.delivered ?? 0,
    read: reception?.read ?? 0,
    ...(readers ? { deliveredTo: reception?.deliveredTo ?? [], readBy: reception?.readBy ?? [] } : {}),
  };
}

function statusOf(group: OpenGroup): GroupRecord["status"] {
  if (group.sends.some((send) => send.status === "sent")) return "sent";
  if (group.sends.some((send) => send.status === "queued")) return "queued";
  return group.requests > 0 ? "failed" : "none";
}
