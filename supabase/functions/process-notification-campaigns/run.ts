import { z } from "zod";
import type { Failure } from "../_shared/failure.ts";
import { parseAnswer } from "../_shared/parse_answer.ts";
import type { Result } from "../_shared/result.ts";
import type { Arguments, FunctionName } from "../_shared/rpc.ts";
import { callCount } from "./call_count.ts";
import { type Figures, noFigures } from "./figures.ts";
import { fillMessage } from "./fill_message.ts";
import type { Gateway, LookUpOutcome, NotFound, SendOutcome } from "./gateways/gateway.ts";
import { normalizePhoneNumber } from "./normalize_phone_number.ts";
import { pollSilentMessages } from "./poll_silent_messages.ts";
import type { ProcessorDeps } from "./processor_deps.ts";
import { ResultRecorder } from "./result_recorder.ts";
import type { Settings } from "./settings.ts";

const claimedRow = z.object({
  client_message_id: z.string(),
  campaign_id: z.string(),
  channel: z.string(),
  gateway: z.string(),
  session_id: z.string().nullable(),
  recipient: z.string(),
  content: z.unknown(),
  variables: z.unknown(),
  /** Null where the sender has no pace. */
  send_after_ms: z.number().nullable(),
});
type ClaimedRow = z.output<typeof claimedRow>;

const staleRow = claimedRow.pick({
  client_message_id: true,
  campaign_id: true,
  channel: true,
  gateway: true,
  session_id: true,
  recipient: true,
});

/** What came of a claimed message; `skipped`: not sent, and never to be. */
type Outcome =
  | SendOutcome
  | {
    readonly outcome: "skipped";
    readonly errorCode: string;
    readonly errorMessage: string;
  };

/** Attempts asked about at once: as many as are claimed for it, so that none waits here. */
const LOOK_UPS = 32;
/** Stale rows are asked about every 15 s; after so many times without an answer (10 min) their campaign's policy decides. */
const GIVE_UP_AFTER_ASKING = 40;
/** How often a busy run starts campaigns that have come due and looks for stale rows. */
const UPKEEP_MS = 2_000;
const IDLE_POLL_MS = 1_000;
/** What a sender with a limit will send within so long is claimed with the time to send it at. */
const PACE_AHEAD_MS = 1_000;
/** A paced send that starts later than this after its time is left to its lease: it would crowd the ones behind it. */
const MAX_BEHIND_PACE_MS = 2_500;
/** A sender whose turn comes within so long is waited for; others are left to the next run. */
const MAX_TURN_WAIT_MS = 10_000;
/** A flood of failures is counted in the answer; so many are described in the log. */
const MAX_DESCRIBED = 20;

/**
 * One run of the processor: starts what is due, claims and sends until nothing is left or time is up, asks the
 * gateways about attempts past their lease and about messages that nobody reported on, records what came of it all,
 * and closes campaigns that are done.
 *
 * Safe beside other runs: the database hands each row and each stale attempt to one of them.
 */
export class Run {
  readonly figures: Figures = noFigures();
  readonly #deps: ProcessorDeps;
  readonly #settings: Settings;
  readonly #gateways: ReadonlyMap<string, Gateway>;
  readonly #recorder: ResultRecorder;
  readonly #inFlight = new Set<Promise<void>>();
  readonly #stop: AbortSignal;
  readonly #deadline: number;
  #lookUps: Promise<void> | undefined;
  #lookUpsEnded = false;
  #polls: Promise<void> | undefined;
  #pollsEnded = false;
  #pollFailure: Failure | undefined;
  #fold: Promise<void> | undefined;
  #nextUpkeep = 0;
  #described = 0;
  #failure: Failure | undefined;

  /**
   * @param gateways Those that are ready, by name.
   * @param stop Ends the run early: the isolate is about to be retired.
   */
  constructor(deps: ProcessorDeps, settings: Settings, gateways: ReadonlyMap<string, Gateway>, stop: AbortSignal) {
    this.#deps = deps;
    this.#settings = settings;
    this.#gateways = gateways;
    this.#stop = stop;
    this.#recorder = new ResultRecorder(deps.rpc, deps.clock, deps.log);
    this.#deadline = deps.clock.now() + settings.budgetMs;
    this.#nextUpkeep = deps.clock.now();
  }

  /** Runs to the end. The failure is the first call of the database that could not be made. */
  async toTheEnd(): Promise<Result<Figures>> {
    let settledAt = -1;
    while (!this.#over) {
      await this.#upkeep();
      if (this.#over) break;
      if (await this.#deps.slots.exclusively(() => this.#claim()) > 0) continue;
      if (this.#inFlight.size > 0 || this.#questions.length > 0) {
        await this.#somethingHappens();
        continue;
      }
      // nothing is due and nothing under way: has settling that made anything due?
      await this.#settle();
      if (this.#progress === settledAt && !await this.#turnComes()) break;
      settledAt = this.#progress;
    }
    await this.#finish();
    return this.#failure === undefined ? { ok: true, value: this.figures } : { ok: false, failure: this.#failure };
  }

  get #over(): boolean {
    return this.#failure !== undefined || this.#stop.aborted || this.#deps.clock.now() >= this.#deadline;
  }

  /** Grows with everything that may have made a row due. */
  get #progress(): number {
    const { claimed, started, not_found, recovered } = this.figures;
    return claimed + started + not_found + recovered;
  }

  /** What gateways are being asked just now. */
  get #questions(): Promise<void>[] {
    return [this.#lookUps, this.#polls].filter((question) => question !== undefined);
  }

  async #upkeep(): Promise<void> {
    if (this.#deps.clock.now() < this.#nextUpkeep) return;
    this.#nextUpkeep = this.#deps.clock.now() + UPKEEP_MS;
    this.figures.started += await this.#count("start_due_campaigns");
    await this.#count("continue_steering");
    if (this.#failure !== undefined) return;
    // screens follow the folded counters; what fails here is made up for at the end
    if (this.figures.claimed > 0) this.#fold ??= this.#foldCounters().finally(() => this.#fold = undefined);
    this.#lookUps ??= this.#lookUpStale().finally(() => this.#lookUps = undefined);
    this.#polls ??= this.#pollSilent().finally(() => this.#polls = undefined);
  }

  async #foldCounters(): Promise<void> {
    const folded = await callCount(this.#deps, "fold_campaign_counters");
    if (folded.ok) this.figures.folded += folded.value;
  }

  async #claim(): Promise<number> {
    const { limit, excluded } = this.#deps.slots.plan(this.#settings.slots);
    if (limit === 0 || this.#over) return 0;
    const { leaseSeconds } = this.#settings;
    const before = this.#deps.clock.now();
    const answer = await this.#deps.rpc("claim_recipients", {
      p_limit: limit,
      p_exclude_sessions: excluded,
      p_gateways: [...this.#gateways.keys()],
      p_default_senders: this.#defaultSenders,
      p_pace_ahead: `${PACE_AHEAD_MS} milliseconds`,
      ...(leaseSeconds === undefined ? {} : { p_lease: `${leaseSeconds} seconds` }),
    });
    const rows = parseAnswer(answer, z.array(claimedRow), "claim_recipients", this.#deps.log);
    if (!rows.ok) {
      this.#failure ??= rows.failure;
      return 0;
    }
    this.figures.claimed += rows.value.length;
    for (const row of rows.value) this.#start(row, before);
    return rows.value.length;
  }

  /** By the name of their gateway. */
  get #defaultSenders(): Record<string, string> {
    const senders: Record<string, string> = {};
    for (const [name, { defaultSender }] of this.#gateways) {
      if (defaultSender !== undefined) senders[name] = defaultSender;
    }
    return senders;
  }

  #start(row: ClaimedRow, claimedAt: number): void {
    const session = row.session_id ?? "";
    this.#deps.slots.take(session);
    const sending = this.#send(row, claimedAt).finally(() => {
      this.#deps.slots.release(session);
      this.#inFlight.delete(sending);
    });
    this.#inFlight.add(sending);
  }

  async #send(row: ClaimedRow, claimedAt: number): Promise<void> {
    const { clock } = this.#deps;
    const turn = row.send_after_ms;
    if (turn !== null && turn > 0) await clock.sleep(turn);
    const waited = clock.now() - claimedAt;
    // a send takes up to half the lease; one that starts in its second half could outlive it
    const outlivesLease = this.#settings.leaseSeconds !== undefined && waited > this.#settings.leaseSeconds * 500;
    if (outlivesLease || (turn !== null && waited > turn + MAX_BEHIND_PACE_MS)) {
      this.figures.late++;
      return;
    }
    const outcome = await this.#outcome(row);
    this.figures[outcome.outcome]++;
    if (outcome.outcome !== "accepted" && outcome.outcome !== "sent") {
      this.#describe("not_sent", row.campaign_id, row.client_message_id, outcome);
    }
    this.#record(row, outcome);
  }

  async #outcome(row: ClaimedRow): Promise<Outcome> {
    const gateway = this.#gateways.get(row.gateway);
    if (gateway === undefined) {
      const errorMessage = `this version of the processor has no gateway ${row.gateway}`;
      return { outcome: "deferred", errorCode: "unsupported_gateway", errorMessage };
    }
    if (row.session_id === null) {
      return { outcome: "deferred", errorCode: "no_session", errorMessage: "no active session can send this message" };
    }
    const recipient = row.channel === "whatsapp_group" ? row.recipient : normalizePhoneNumber(row.recipient);
    if (recipient === undefined) {
      const errorMessage = "the recipient is not a phone number; write it with its country code, such as +14155550123";
      return { outcome: "skipped", errorCode: "invalid_phone_number", errorMessage };
    }
    const filled = fillMessage(row.content, row.variables);
    if (!filled.ok) {
      return { outcome: "failed", errorCode: filled.errorCode, errorMessage: filled.errorMessage };
    }
    const message = {
      clientMessageId: row.client_message_id,
      channel: row.channel,
      sessionId: row.session_id,
      recipient,
      message: filled.message,
    };
    return await gateway.send(message, this.#settings.sendTimeoutMs);
  }

  /**
   * Asks about attempts past their lease until there are none, or until a whole batch got no answer: then the gateway
   * is away, and the next run asks again.
   */
  async #lookUpStale(): Promise<void> {
    while (!this.#over && !this.#lookUpsEnded) {
      const answer = await this.#deps.rpc("claim_stale_attempts", { p_limit: LOOK_UPS });
      const rows = parseAnswer(answer, z.array(staleRow), "claim_stale_attempts", this.#deps.log);
      if (!rows.ok) {
        this.#failure ??= rows.failure;
        return;
      }
      if (rows.value.length === 0) return;
      const answers = await Promise.all(rows.value.map(async (row) => ({ row, outcome: await this.#lookUp(row) })));
      let unanswered = 0;
      for (const { row, outcome } of answers) {
        this.figures.looked_up++;
        if (outcome.outcome === "unanswered") {
          unanswered++;
          this.#describe("gateway_not_asked", row.campaign_id, row.client_message_id, outcome);
          continue;
        }
        if (outcome.outcome === "not_found") this.figures.not_found++;
        this.#record(row, outcome);
      }
      this.figures.unanswered += unanswered;
      if (unanswered === rows.value.length) this.#lookUpsEnded = true;
    }
  }

  async #lookUp(row: z.output<typeof staleRow>): Promise<LookUpOutcome> {
    const gateway = this.#gateways.get(row.gateway);
    if (gateway === undefined) {
      return { outcome: "unanswered", errorCode: "gateway_not_ready" };
    }
    const attempt = { clientMessageId: row.client_message_id, sessionId: row.session_id, recipient: row.recipient };
    return await gateway.lookUp(attempt, this.#settings.lookUpTimeoutMs);
  }

  /** Asks about messages that nobody reported on until there are none, or until a whole batch brought nothing. */
  async #pollSilent(): Promise<void> {
    while (!this.#over && !this.#pollsEnded) {
      const poll = await pollSilentMessages(this.#deps, this.#gateways, this.#settings.lookUpTimeoutMs);
      if (!poll.ok) {
        // no reason to stop sending; the answer says it at the end
        this.#pollFailure = poll.failure;
        this.#pollsEnded = true;
        return;
      }
      const { asked, answered } = poll.value;
      if (asked === 0) return;
      this.figures.polled += asked;
      if (answered === 0) this.#pollsEnded = true;
    }
  }

  #record(row: Pick<ClaimedRow, "client_message_id" | "channel" | "gateway">, outcome: Outcome | NotFound): void {
    const { leaseSeconds, pollAfterSeconds } = this.#settings;
    const renews = outcome.outcome === "accepted" && leaseSeconds !== undefined;
    // one that is only accepted may be proved sent by a callback, which says nothing about asking
    const isTaken = outcome.outcome === "sent" || outcome.outcome === "accepted";
    const canBePolled = isTaken && row.channel !== "whatsapp_group" &&
      this.#gateways.get(row.gateway)?.report !== undefined;
    this.#recorder.add({
      clientMessageId: row.client_message_id,
      ...outcome,
      ...(renews ? { leaseSeconds } : {}),
      ...(canBePolled ? { pollAfterSeconds } : {}),
    });
  }

  /** Whether a sender that has its pace, or was told to wait, may soon send what is due; resolves when it may. */
  async #turnComes(): Promise<boolean> {
    const answer = await this.#deps.rpc("milliseconds_until_next_send", {
      p_gateways: [...this.#gateways.keys()],
      p_default_senders: this.#defaultSenders,
    });
    const wait = parseAnswer(answer, z.number().nullable(), "milliseconds_until_next_send", this.#deps.log);
    if (!wait.ok) {
      this.#failure ??= wait.failure;
      return false;
    }
    if (wait.value === null || wait.value > Math.min(MAX_TURN_WAIT_MS, this.#deadline - this.#deps.clock.now())) {
      return false;
    }
    await this.#deps.clock.sleep(wait.value, this.#stop);
    return true;
  }

  /** With nothing under way: records everything, lets go of rows that nobody could ask about, closes campaigns. */
  async #settle(): Promise<void> {
    await this.#recorder.drain();
    this.figures.recovered += await this.#count("recover_stale_recipients", { p_asked_at_least: GIVE_UP_AFTER_ASKING });
    this.figures.completed += await this.#count("finalize_campaigns");
  }

  /** Waits for what is under way, each part of which ends by itself, and records it, whatever has failed before. */
  async #finish(): Promise<void> {
    const cancel = new AbortController();
    const longest = Math.max(this.#settings.sendTimeoutMs, this.#settings.lookUpTimeoutMs) + 5_000;
    const ended = Promise.all([...this.#inFlight, ...this.#questions, this.#fold]).then(() => true);
    const inTime = await Promise.race([ended, this.#deps.clock.sleep(longest, cancel.signal).then(() => false)]);
    cancel.abort();
    if (!inTime) {
      this.#deps.log.error("sends_abandoned", { count: this.#inFlight.size });
    }
    await this.#recorder.drain();
    this.figures.unrecorded = this.#recorder.unrecorded;
    if (this.#failure !== undefined) return;
    this.figures.completed += await this.#count("finalize_campaigns");
    this.figures.folded += await this.#count("fold_campaign_counters");
    const swept = await this.#deps.rpc("sweep_webhook_events");
    this.#failure ??= swept.ok ? this.#pollFailure : swept.failure;
  }

  /** Resolves when a send or a question ends, after a second, or when the run is to stop. */
  async #somethingHappens(): Promise<void> {
    const cancel = new AbortController();
    const wait = this.#deps.clock.sleep(
      Math.min(IDLE_POLL_MS, Math.max(this.#deadline - this.#deps.clock.now(), 0)),
      AbortSignal.any([cancel.signal, this.#stop]),
    );
    await Promise.race([wait, this.#deps.slots.released(), ...this.#questions]);
    cancel.abort();
  }

  async #count<Name extends FunctionName>(name: Name, args?: Arguments<Name>): Promise<number> {
    const count = await callCount(this.#deps, name, args);
    if (count.ok) return count.value;
    this.#failure ??= count.failure;
    return 0;
  }

  #describe(event: string, campaign: string, clientMessageId: string, outcome: Outcome | LookUpOutcome): void {
    if (this.#described++ >= MAX_DESCRIBED) return;
    this.#deps.log.warn(event, {
      campaign_id: campaign,
      client_message_id: clientMessageId,
      outcome: outcome.outcome,
      error_code: "errorCode" in outcome ? outcome.errorCode : undefined,
    });
  }
}
