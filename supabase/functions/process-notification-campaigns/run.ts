import { z } from "zod";
import type { Failure } from "../_shared/failure.ts";
import { parseAnswer } from "../_shared/parse_answer.ts";
import type { Result } from "../_shared/result.ts";
import type { Arguments, FunctionName } from "../_shared/rpc.ts";
import { callCount } from "./call_count.ts";
import { type Figures, noFigures } from "./figures.ts";
import { fillMessage } from "./fill_message.ts";
import type { Gateway, LookUpOutcome, SendOutcome } from "./gateways/gateway.ts";
import type { ProcessorDeps } from "./processor_deps.ts";
import { ResultRecorder, type SendResult } from "./result_recorder.ts";
import type { Settings } from "./settings.ts";

const claimedRow = z.object({
  client_message_id: z.string(),
  campaign_id: z.string(),
  channel: z.string(),
  session_id: z.string().nullable(),
  recipient: z.string(),
  content: z.unknown(),
  variables: z.unknown(),
});
type ClaimedRow = z.output<typeof claimedRow>;

const staleRow = z.object({ client_message_id: z.string(), campaign_id: z.string(), channel: z.string() });

/** What this version has a gateway for. */
const CHANNELS: "whatsapp_group"[] = ["whatsapp_group"];
/** Attempts asked about at once: as many as are claimed for it, so that none waits here. */
const LOOK_UPS = 32;
/** Stale rows are asked about every 15 s; after so many times without an answer (10 min) their campaign's policy decides. */
const GIVE_UP_AFTER_ASKING = 40;
/** How often a busy run starts campaigns that have come due and looks for stale rows. */
const UPKEEP_MS = 2_000;
const IDLE_POLL_MS = 1_000;
/** A flood of failures is counted in the answer; so many are described in the log. */
const MAX_DESCRIBED = 20;

/**
 * One run of the processor: starts what is due, claims and sends until nothing is left or time is up, asks the
 * gateway about attempts past their lease, records what came of it all, and closes campaigns that are done.
 *
 * Safe beside other runs: the database hands each row and each stale attempt to one of them.
 */
export class Run {
  readonly figures: Figures = noFigures();
  readonly #deps: ProcessorDeps;
  readonly #settings: Settings;
  readonly #gateway: Gateway;
  readonly #recorder: ResultRecorder;
  readonly #inFlight = new Set<Promise<void>>();
  readonly #stop: AbortSignal;
  readonly #deadline: number;
  #lookUps: Promise<void> | undefined;
  #lookUpsEnded = false;
  #nextUpkeep = 0;
  #described = 0;
  #failure: Failure | undefined;

  /** @param stop Ends the run early: the isolate is about to be retired. */
  constructor(deps: ProcessorDeps, settings: Settings, gateway: Gateway, stop: AbortSignal) {
    this.#deps = deps;
    this.#settings = settings;
    this.#gateway = gateway;
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
      if (this.#inFlight.size > 0 || this.#lookUps !== undefined) {
        await this.#somethingHappens();
        continue;
      }
      // nothing is due and nothing under way: has settling that made anything due?
      await this.#settle();
      if (this.#progress === settledAt) break;
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

  async #upkeep(): Promise<void> {
    if (this.#deps.clock.now() < this.#nextUpkeep) return;
    this.#nextUpkeep = this.#deps.clock.now() + UPKEEP_MS;
    this.figures.started += await this.#count("start_due_campaigns");
    if (this.#failure !== undefined) return;
    this.#lookUps ??= this.#lookUpStale().finally(() => this.#lookUps = undefined);
  }

  async #claim(): Promise<number> {
    const { limit, excluded } = this.#deps.slots.plan(this.#settings.slots);
    if (limit === 0 || this.#over) return 0;
    const { leaseSeconds } = this.#settings;
    const before = this.#deps.clock.now();
    const answer = await this.#deps.rpc("claim_recipients", {
      p_limit: limit,
      p_exclude_sessions: excluded,
      p_channels: CHANNELS,
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
    // a send takes up to half the lease; one that starts in its second half could outlive it
    const waited = this.#deps.clock.now() - claimedAt;
    if (this.#settings.leaseSeconds !== undefined && waited > this.#settings.leaseSeconds * 500) {
      this.figures.late++;
      return;
    }
    const outcome = await this.#outcome(row);
    this.figures[outcome.outcome]++;
    if (outcome.outcome === "failed" || outcome.outcome === "deferred" || outcome.outcome === "unknown") {
      this.#describe("not_sent", row.campaign_id, row.client_message_id, outcome);
    }
    this.#record(row.client_message_id, outcome);
  }

  async #outcome(row: ClaimedRow): Promise<SendOutcome> {
    if (row.channel !== "whatsapp_group") {
      const errorMessage = `this version of the processor does not send ${row.channel} messages`;
      return { outcome: "deferred", errorCode: "unsupported_channel", errorMessage };
    }
    if (row.session_id === null) {
      return { outcome: "deferred", errorCode: "no_session", errorMessage: "no active session can send this message" };
    }
    const filled = fillMessage(row.content, row.variables);
    if (!filled.ok) return { outcome: "failed", errorCode: filled.errorCode, errorMessage: filled.errorMessage };
    const message = {
      clientMessageId: row.client_message_id,
      sessionId: row.session_id,
      recipient: row.recipient,
      message: filled.message,
    };
    return await this.#gateway.send(message, this.#settings.sendTimeoutMs);
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
        this.#record(row.client_message_id, outcome);
      }
      this.figures.unanswered += unanswered;
      if (unanswered === rows.value.length) this.#lookUpsEnded = true;
    }
  }

  async #lookUp(row: z.output<typeof staleRow>): Promise<LookUpOutcome> {
    if (row.channel !== "whatsapp_group") return { outcome: "unanswered", errorCode: "unsupported_channel" };
    return await this.#gateway.lookUp(row.client_message_id, this.#settings.lookUpTimeoutMs);
  }

  #record(clientMessageId: string, outcome: SendOutcome | { readonly outcome: "not_found" }): void {
    const { leaseSeconds } = this.#settings;
    const result: SendResult = { clientMessageId, ...outcome };
    const renews = outcome.outcome === "accepted" && leaseSeconds !== undefined;
    this.#recorder.add(renews ? { ...result, leaseSeconds } : result);
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
    const ended = Promise.all([...this.#inFlight, this.#lookUps]).then(() => true);
    const inTime = await Promise.race([ended, this.#deps.clock.sleep(longest, cancel.signal).then(() => false)]);
    cancel.abort();
    if (!inTime) this.#deps.log.error("sends_abandoned", { count: this.#inFlight.size });
    await this.#recorder.drain();
    this.figures.unrecorded = this.#recorder.unrecorded;
    if (this.#failure !== undefined) return;
    this.figures.completed += await this.#count("finalize_campaigns");
    this.figures.folded += await this.#count("fold_campaign_counters");
  }

  /** Resolves when a send or the look-ups end, after a second, or when the run is to stop. */
  async #somethingHappens(): Promise<void> {
    const cancel = new AbortController();
    const wait = this.#deps.clock.sleep(
      Math.min(IDLE_POLL_MS, Math.max(this.#deadline - this.#deps.clock.now(), 0)),
      AbortSignal.any([cancel.signal, this.#stop]),
    );
    await Promise.race([wait, this.#deps.slots.released(), ...(this.#lookUps === undefined ? [] : [this.#lookUps])]);
    cancel.abort();
  }

  async #count<Name extends FunctionName>(name: Name, args?: Arguments<Name>): Promise<number> {
    const count = await callCount(this.#deps, name, args);
    if (count.ok) return count.value;
    this.#failure ??= count.failure;
    return 0;
  }

  #describe(event: string, campaign: string, clientMessageId: string, outcome: SendOutcome | LookUpOutcome): void {
    if (this.#described++ >= MAX_DESCRIBED) return;
    this.#deps.log.warn(event, {
      campaign_id: campaign,
      client_message_id: clientMessageId,
      outcome: outcome.outcome,
      error_code: "errorCode" in outcome ? outcome.errorCode : undefined,
    });
  }
}
