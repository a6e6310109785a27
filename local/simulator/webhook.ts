import { deliver, type Delivery, type Post } from "./deliver.ts";
import type { Life } from "./life.ts";
import type { Notes } from "./notes.ts";
import { type Batch, Outbox, type OutboxOptions } from "./outbox.ts";
import type { PostRecord } from "./record.ts";

/** What posts to one webhook look like. */
export interface WebhookOptions<Event> extends Pick<OutboxOptions<Event>, "concurrency" | "sizing"> {
  /** The last part of its address, for people. */
  readonly name: string;
  /** Makes the request that carries some events. */
  readonly compose: (batch: Batch<Event>) => Post;
  readonly notes: Notes;
  readonly life: Life;
}

/** One webhook of the backend: events are posted to it in batches, and what it answers is judged. */
export class Webhook<Event> {
  readonly #options: WebhookOptions<Event>;
  readonly #outbox: Outbox<Event>;
  readonly #posted = { posts: 0, events: 0, retries: 0, refused: 0, lost: 0 };

  constructor(options: WebhookOptions<Event>) {
    this.#options = options;
    this.#outbox = new Outbox({ ...options, post: (batch) => this.#post(batch) });
  }

  /** True when nothing waits and nothing is under way in batches. */
  get idle(): boolean {
    return this.#outbox.idle;
  }

  /** The well-formed posts so far. */
  get posted(): PostRecord {
    return { ...this.#posted };
  }

  /** Queues events for the next posts; settles when each of them was posted. */
  put(events: readonly Event[]): Promise<void> {
    return this.#outbox.put(events);
  }

  /** Queues an undigestible event, to travel among good ones where there are any. */
  putBad(event: Event): Promise<void> {
    return this.#outbox.putBad(event);
  }

  /** Posts events at once, whatever else is under way. */
  postNow(events: readonly Event[]): Promise<void> {
    return this.#post({ events, good: events.length });
  }

  /** Makes a post that the webhook must answer with this status; what it is goes into the notes if it does not. */
  async tempt(post: Post, status: number, what: string): Promise<void> {
    const delivery = await this.#deliver(post);
    if (delivery.status !== status) {
      this.#note(`instead of ${status} to a ${what}: ${post.body.slice(0, 200)}`, delivery);
    }
  }

  /** Forgets what waits. */
  clear(): void {
    this.#outbox.clear();
  }

  /** Posts a batch. Bad elements in it are no reason to refuse it, unless there is nothing else in it. */
  async #post(batch: Batch<Event>): Promise<void> {
    const { events, good } = batch;
    const delivery = await this.#deliver(this.#options.compose(batch));
    const { status } = delivery;
    const refused = status !== null && status >= 400 && status < 500;
    const lost = status === null || status >= 500;
    this.#posted.posts++;
    this.#posted.events += good;
    this.#posted.retries += delivery.tries - 1;
    if (refused) this.#posted.refused += good;
    if (lost) this.#posted.lost += good;
    if (lost || (refused && good > 0)) {
      this.#note(`to ${events.length} events: ${JSON.stringify(events).slice(0, 200)}`, delivery);
    }
  }

  #deliver(post: Post): Promise<Delivery> {
    return deliver(post, { signal: this.#options.life.signal });
  }

  #note(what: string, { status }: Delivery): void {
    const { name, notes, life } = this.#options;
    if (!life.ended) notes.unexpected(`${name} answered ${status ?? "nothing"} ${what}`);
  }
}
