import type { Json } from "../../_shared/database.types.ts";
import type { Environment } from "../../_shared/environment.ts";

/** One message on its way to one recipient. */
export interface OutgoingMessage {
  /** Id of the attempt, committed before the call; comes back in callbacks and answers to questions. */
  readonly clientMessageId: string;
  /** `whatsapp_group`, `whatsapp` or `sms`. */
  readonly channel: string;
  /** The sender: a session of the gateway. */
  readonly sessionId: string;
  /** A contact in E.164 (`+919876543210`), or a group as the gateway calls it. */
  readonly recipient: string;
  /** `{type: "text", text}`, or content as WhatsApp's Cloud API describes it: `{type: "image", image: {…}}`. */
  readonly message: Json;
}

/** An attempt that was handed over earlier. */
export interface Attempt {
  readonly clientMessageId: string;
  readonly sessionId: string | null;
  readonly recipient: string;
}

/**
 * What a gateway made of a message.
 *
 * `accepted`: it took it, and will say later how that came out; `sent`: it has sent it; `failed`: it rejected it;
 * `deferred`: certainly not sent, worth another try; `unknown`: nothing proves either. Codes are the provider's own:
 * what follows from each is for the database to say.
 */
export type SendOutcome = {
  readonly outcome: "accepted" | "sent" | "failed" | "deferred" | "unknown";
  readonly messageId?: string;
  readonly errorCode?: string;
  readonly errorMessage?: string;
  /** What WhatsApp calls the recipient, in digits, where that is not the number dialled. */
  readonly waId?: string;
  /** How long the gateway asks to be left alone, in seconds. */
  readonly retryAfterSeconds?: number;
};

/** The gateway does not know of an attempt; `asked` is false where nobody could be asked. */
export type NotFound = {
  readonly outcome: "not_found";
  readonly asked?: false;
};

/** What a gateway knows of an attempt; `unanswered` when it gave no answer this time. */
export type LookUpOutcome = SendOutcome | NotFound | {
  readonly outcome: "unanswered";
  readonly errorCode: string;
};

/** A message that a gateway has sent to a contact. */
export interface SentMessage {
  /** The provider's id of it. */
  readonly messageId: string;
  /** Ours. */
  readonly clientMessageId: string;
}

/** What became of a sent message, as `record_receipts` takes it. */
export type Receipt = {
  readonly event:
    | "message_sent"
    | "message_delivered"
    | "message_read"
    | "message_failed";
  readonly messageId: string;
  /** Who reports it: one row of receipts for each. */
  readonly reader: string;
  /** When it happened, in milliseconds since 1970. */
  readonly timestamp?: number;
  readonly errorCode?: string;
  readonly errorMessage?: string;
  /** What the message cost, a positive amount. */
  readonly cost?: number;
  readonly currency?: string;
};

/** A way to send messages. None of the methods throws, and each ends within its time. */
export interface Gateway {
  /** Sends for campaigns that name no session where the organization has none. */
  readonly defaultSender?: string;
  send(message: OutgoingMessage, timeoutMs: number): Promise<SendOutcome>;
  /** Asks what became of an attempt. */
  lookUp(attempt: Attempt, timeoutMs: number): Promise<LookUpOutcome>;
  /**
   * Asks what became of a message to a contact on which nobody has reported; undefined while there is nothing to say.
   * One to a group is many people's: no answer would count them.
   */
  report?(message: SentMessage, timeoutMs: number): Promise<Receipt | undefined>;
}

/** A kind of gateway, and how it is made. */
export interface GatewayDefinition {
  /** As `gateway_sessions.gateway` has it. */
  readonly name: string;
  /** Its own variables; while none of them is set, it is not configured, and that is no fault. */
  readonly variables: readonly string[];
  /** Throws `EnvironmentError` for a variable that is missing or unusable. */
  create(environment: Environment, fetcher: typeof fetch): Gateway;
}
