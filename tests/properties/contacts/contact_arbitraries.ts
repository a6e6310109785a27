import fc from "fast-check";
import type { ContactEvent, ContactHistory, ContactMessage } from "./contact_history.ts";
import { contactOutcomeOf } from "./contact_model.ts";

const MAX_EVENTS = 8;

const channel = fc.constantFrom("whatsapp", "whatsapp", "sms");
const kind = fc.constantFrom("sent", "delivered", "read", "played", "failed", "failed", "failed");

/** Most contacts: one attempt, one message. */
export const oneMessage: fc.Arbitrary<ContactHistory> = histories(1, ["new1"]);

/** One attempt of which it turns out that it sent two messages. */
export const twoMessages: fc.Arbitrary<ContactHistory> = histories(1, ["new1", "new2"]);

/**
 * An attempt whose lease was lost, and another one of which the end is heard. Before that, a row that the older attempt had
 * proved and that its status refutes is as good as failed, and open: the set of events does not decide which.
 */
export const twoAttempts: fc.Arbitrary<ContactHistory> = histories(2, ["new1", "old1"]).filter((history) =>
  contactOutcomeOf(history).status !== "processing" || !history.events.some(({ message }) => message === "old1")
);

function histories(claims: 1 | 2, names: readonly ContactMessage[]): fc.Arbitrary<ContactHistory> {
  return fc.record({ channel, claims: fc.constant(claims), events: eventsOf(names) });
}

function eventsOf(names: readonly ContactMessage[]): fc.Arbitrary<ContactEvent[]> {
  const event = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...names).chain(status) },
    { weight: 1, arbitrary: fc.constantFrom(...names).chain(answer) },
    { weight: 1, arbitrary: fc.constant("lost" as const).chain(status) },
  );
  return fc.array(event, { minLength: 1, maxLength: MAX_EVENTS }).chain((events) =>
    // the same event again, as providers do
    fc.subarray(events, { maxLength: Math.min(2, events.length) }).map((again) => [...events, ...again])
  );
}

function attemptOf(message: ContactMessage): "newest" | "older" {
  return message === "old1" ? "older" : "newest";
}

function status(message: ContactMessage): fc.Arbitrary<ContactEvent> {
  return fc.record({
    type: fc.constant("status"),
    kind,
    message: fc.constant(message),
    carries: message === "lost"
      ? fc.constantFrom("garbage", null)
      : fc.constantFrom(attemptOf(message), attemptOf(message), "garbage", null),
    hasCost: fc.boolean(),
  });
}

function answer(message: ContactMessage): fc.Arbitrary<ContactEvent> {
  const attempt = fc.constant(attemptOf(message));
  return fc.oneof(
    fc.record({
      type: fc.constant("answer"),
      attempt,
      outcome: fc.constantFrom("sent", "sent", "sent", "accepted"),
      message: fc.constant(message),
    }),
    fc.record({
      type: fc.constant("answer"),
      attempt,
      outcome: fc.constantFrom("failed", "unknown"),
      message: fc.constant(null),
    }),
  );
}
