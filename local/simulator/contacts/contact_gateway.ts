import type { FaultName } from "../fault_names.ts";
import type { Faults } from "../faults.ts";
import { Life } from "../life.ts";
import { Notes } from "../notes.ts";
import { type Random, randomFor } from "../random.ts";
import { Webhook } from "../webhook.ts";
import type { Report } from "./fate.ts";
import { ContactLedger, type OpenContact } from "./ledger.ts";
import { planRequest, type RequestPlan } from "./plan.ts";
import type { Act, Order, Provider, Sending } from "./provider.ts";
import type { ContactTotals } from "./record.ts";

/** The longest an early report may hold up the answer to a send. */
const EARLY_REPORT_MS = 2_000;

const REFUSED = {
  reject: "sends rejected",
  busy: "sends put off (429, 503)",
  break: "sends answered 500",
} as const satisfies Record<string, FaultName>;

/**
 * Plays a provider of messages to contacts: takes them, reports on them, lets people write back, misbehaves as told, and
 * writes it all down. How the provider speaks is the provider's own affair.
 */
export class ContactGateway<Status extends string, Event, Wish extends Order> {
  /** What it did wrong on purpose, and what it was wrongly answered. */
  readonly notes = new Notes();
  readonly ledger = new ContactLedger();
  readonly webhook: Webhook<Event>;
  readonly #provider: Provider<Status, Event, Wish>;
  readonly #faults: () => Faults;
  readonly #life = new Life();
  readonly #sendings = new Map<string, Sending<Status, Wish>>();

  /** @param faults asked anew for each request */
  constructor(provider: Provider<Status, Event, Wish>, faults: () => Faults) {
    this.#provider = provider;
    this.#faults = faults;
    this.webhook = new Webhook({ ...provider.webhook, notes: this.notes, life: this.#life });
  }

  /** True when nothing is left to answer or to post. */
  get idle(): boolean {
    return this.#life.idle && this.webhook.idle;
  }

  /** Drops everything under way. */
  close(): void {
    this.#life.end();
    this.webhook.clear();
  }

  /** Answers a request to send; null breaks the connection. */
  send(order: Wish): Promise<Response | null> {
    return this.#life.during(() => this.#answer(order));
  }

  /** A message that was taken. */
  sending(messageId: string): Sending<Status, Wish> | undefined {
    return this.#sendings.get(messageId);
  }

  /** Lets a person do something; settles when it was posted. */
  perform(act: Act<Event>, contact: string): Promise<void> {
    const faults = this.#faults();
    const chance = randomFor(faults.seed, this.#provider.section, contact, crypto.randomUUID());
    return this.#life.during(() => this.#perform(faults, act, contact, chance));
  }

  /** Sums and faults of everything so far. */
  get summary(): { readonly totals: ContactTotals; readonly faults: Record<string, number> } {
    return { totals: this.ledger.totals, faults: this.notes.faults };
  }

  async #answer(order: Wish): Promise<Response | null> {
    const [provider, life, notes, faults] = [this.#provider, this.#life, this.notes, this.#faults()];
    const contact = this.ledger.contact(order.contact);
    const plan = planRequest(faults, provider.section, order.contact, ++contact.requests);
    const draw = (purpose: string) => randomFor(faults.seed, provider.section, order.contact, purpose);

    if (plan.answer === "reject" || plan.answer === "busy" || plan.answer === "break") {
      const { code, response } = provider.refuse(plan.answer, draw(plan.answer));
      notes.fault(REFUSED[plan.answer]);
      if (plan.answer === "reject") {
        contact.rejectedWith = code;
        if (provider.endsConsent(code)) this.ledger.wants(order.contact, false);
      }
      await life.wait(plan.answerMs);
      return response;
    }

    // From here on the message is taken, and what follows happens whether or not the caller hears of it.
    const sending = this.#take(faults, contact, order);
    const [first] = sending.fate.reports;
    if (plan.early && first !== undefined) {
      this.#goOut(sending);
      notes.fault("reports before the answer");
      await Promise.race([life.during(() => this.#tell(sending, first)), life.wait(EARLY_REPORT_MS)]);
    }
    void life.during(() => this.#carryOn(sending, plan));
    if (plan.answer === "hang" || plan.answer === "reset") {
      notes.fault("answers that never came");
      await life.wait(plan.answer === "hang" ? plan.hangMs : plan.answerMs);
      return null;
    }
    await life.wait(plan.answerMs);
    if (plan.answer === "accept") return provider.accept(sending);
    notes.fault("sends answered 500");
    return provider.refuse(plan.answer, draw("break")).response;
  }

  #take(faults: Faults, contact: OpenContact, order: Wish): Sending<Status, Wish> {
    const { section } = this.#provider;
    const { clientMessageId, sessionId } = order;
    const ids = randomFor(faults.seed, section, order.contact, clientMessageId ?? "", contact.messages.length);
    const sending: Sending<Status, Wish> = {
      faults,
      order,
      fate: this.#provider.planFate(faults, order.contact),
      message: {
        clientMessageId,
        messageId: this.#provider.messageId(order.contact, ids),
        sessionId,
        status: "queued",
        delivered: false,
        read: false,
        errorCode: null,
        category: null,
        cost: null,
      },
    };
    contact.messages.push(sending.message);
    this.#sendings.set(sending.message.messageId, sending);
    for (const fault of sending.fate.faults) this.notes.fault(fault);
    return sending;
  }

  /** The message goes out, or fails to. Again is the same as once. */
  #goOut({ fate, message, order }: Sending<Status, Wish>): void {
    message.status = fate.failed ? "failed" : "sent";
    message.delivered = fate.delivered;
    message.read = fate.read;
    message.category = fate.category;
    message.errorCode = fate.failed ? fate.errorCode : null;
    if (this.#provider.endsConsent(message.errorCode)) this.ledger.wants(order.contact, false);
  }

  /** Plays the rest of a message's life: it goes out, it is reported on, and the person may answer it. */
  async #carryOn(sending: Sending<Status, Wish>, plan: RequestPlan): Promise<void> {
    const { reports, outMs } = sending.fate;
    await this.#life.wait(plan.answerMs + outMs);
    if (this.#life.ended) return;
    this.#goOut(sending);
    if (plan.malformed) void this.#life.during(() => this.#postBadly(sending));
    if (sending.fate.delivered) void this.#life.during(() => this.#react(sending));
    await Promise.all(
      reports.slice(plan.early ? 1 : 0).map(async (report) => {
        await this.#life.wait(report.afterMs - outMs);
        await this.#tell(sending, report);
      }),
    );
  }

  /** Posts a report, once or twice. Settles when it is posted. */
  async #tell(sending: Sending<Status, Wish>, { status, againAfterMs }: Report<Status>): Promise<void> {
    if (this.#life.ended) return;
    const event = this.#provider.report(sending, status);
    if (event === null) return;
    const posted = [this.webhook.put([event])];
    if (againAfterMs !== null) {
      if (againAfterMs > 0) await this.#life.wait(againAfterMs); // else both at the same moment
      posted.push(this.webhook.put([event]));
    }
    await Promise.all(posted);
  }

  /** The person who got the message does something about it, one thing after the other; or nothing, as most do. */
  async #react(sending: Sending<Status, Wish>): Promise<void> {
    const { faults, order } = sending;
    const draw = (purpose: string) => randomFor(faults.seed, this.#provider.section, order.contact, purpose);
    if (!draw("reacts").chance(faults[this.#provider.section].replies)) return;
    const [times, chances] = [draw("act times"), draw("inbound doubled")];
    const ids = randomFor(faults.seed, "ids", sending.message.messageId);
    for (const act of this.#provider.acts(sending, draw("acts"), ids)) {
      await this.#life.wait(times.int(...faults.receiptMs));
      if (this.#life.ended) return;
      await this.#perform(faults, act, order.contact, chances);
    }
  }

  async #perform(faults: Faults, act: Act<Event>, contact: string, draw: Random): Promise<void> {
    const { event, inbound, wantsMore } = act;
    if (inbound !== null) this.ledger.wrote(inbound);
    if (wantsMore !== null) this.ledger.wants(contact, wantsMore);
    if (!draw.chance(faults[this.#provider.section].inboundDoubled)) return await this.webhook.put([event]);
    this.notes.fault("inbound messages twice at once");
    // both in posts of their own, or one of them among whatever else there is to post
    const other = draw.chance(0.5) ? this.webhook.postNow([event]) : this.webhook.put([event]);
    await Promise.all([this.webhook.postNow([event]), other]);
  }

  async #postBadly(sending: Sending<Status, Wish>): Promise<void> {
    const { faults, order } = sending;
    const bad = this.#provider.badPost(
      sending,
      randomFor(faults.seed, this.#provider.section, order.contact, "bad post"),
    );
    if (bad === null) return;
    this.notes.fault("malformed or forged posts");
    if (bad.form === "element") return await this.webhook.putBad(bad.event);
    await this.webhook.tempt(bad.post, bad.status, bad.what);
  }
}
