import type { Json } from "../../_shared/database.types.ts";

/** One message on its way to one recipient. */
export interface OutgoingMessage {
  /** Id of the attempt, committed before the call; comes back in callbacks and answers to questions. */
  readonly clientMessageId: string;
  /** The sender: a session of the gateway. */
  readonly sessionId: string;
  readonly recipient: string;
  readonly message: Json;
}

/**
 * What a gateway made of a message.
 *
 * `accepted`: it took it, and will say later how that came out; `sent`: it has sent it; `failed`: it rejected it;
 * `deferred`: certainly not sent, worth another try; `unknown`: nothing proves either.
 */
export type SendOutcome = {
  readonly outcome: "accepted" | "sent" | "failed" | "deferred" | "unknown";
  readonly messageId?: string;
  readonly errorCode?: string;
  readonly errorMessage?: string;
  /** How long the gateway asks to be left alone, in seconds. */
  readonly retryAfterSeconds?: number;
};

/** What a gateway knows of a message it was sent earlier; `unanswered` when it could not be asked. */
export type LookUpOutcome =
  | SendOutcome
  | { readonly outcome: "not_found" }
  | { readonly outcome: "unanswered"; readonly errorCode: string };

/** A way to send messages. Neither method throws, and each ends within its time. */
export interface Gateway {
  send(message: OutgoingMessage, timeoutMs: number): Promise<SendOutcome>;
  /** Asks what became of an attempt. */
  lookUp(clientMessageId: string, timeoutMs: number): Promise<LookUpOutcome>;
}
