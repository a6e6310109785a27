import fc from "fast-check";
import type { Evidence, History, MessageName } from "./history.ts";
import { type Situation, situations } from "./situation.ts";

const MAX_EVENTS = 9;

const memberCount = fc.oneof(
  { weight: 1, arbitrary: fc.constant(null) },
  { weight: 1, arbitrary: fc.constantFrom(0, 1) },
  { weight: 4, arbitrary: fc.integer({ min: 2, max: 5 }) },
);

/** Everything that may be heard of a recipient; what is doubled, lost or late is up to chance and to the order. */
export const history: fc.Arbitrary<History> = fc.constantFrom(...situations).chain((situation) =>
  fc.record({
    situation: fc.constant(situation),
    memberCount,
    events: fc.oneof(eventsByAttempt(situation), eventsByGroup(situation)).map(withoutContradiction),
  })
);

/** A gateway that gives `clientMessageId` back. One attempt may turn out to have sent two messages. */
function eventsByAttempt({ claims }: Situation): fc.Arbitrary<Evidence[]> {
  const attempts = claims === 0 ? [] : claims === 1 ? (["newest"] as const) : (["newest", "older"] as const);
  const messages: readonly MessageName[] = claims === 2 ? ["new1", "new2", "old1", "old2"] : ["new1", "new2"];
  return listOf([
    ...attempts.map((attempt) => spoken(attempt, attempt === "newest" ? ["new1", "new2"] : ["old1", "old2"])),
    // twice: what several receipts of several messages come to is the hardest part
    receipt(messages),
    receipt(messages),
    said(claims),
  ]);
}

/**
 * A gateway that names the group alone. It finds a recipient as long as nobody named the recipient's message, so all
 * name the same one; a failure names none, and changes nothing once there is a proof.
 */
function eventsByGroup({ claims }: Situation): fc.Arbitrary<Evidence[]> {
  const callback: fc.Arbitrary<Evidence> = fc.constantFrom(
    // of a group that nothing was sent to yet, only a copy meant for another campaign
    { type: "callback", event: "sent", attempt: null, message: claims === 0 ? null : "new1" },
    { type: "callback", event: "sent", attempt: null, message: null },
    { type: "callback", event: "failed", attempt: null, message: null },
  );
  return listOf([
    callback,
    ...claims === 0 ? [] : [spoken("newest", ["new1"])],
    receipt(["new1"]),
    said(claims),
  ]);
}

function listOf(kinds: readonly fc.Arbitrary<Evidence>[]): fc.Arbitrary<Evidence[]> {
  return fc.array(fc.oneof(...kinds), { minLength: 1, maxLength: MAX_EVENTS }).chain((events) =>
    // the same event again, as gateways do
    fc.subarray(events, { maxLength: Math.min(2, events.length) }).map((again) => [...events, ...again])
  );
}

/** What the sending side says of an attempt: answers at once, look-ups, callbacks. */
function spoken(attempt: "newest" | "older", ids: readonly [MessageName, ...MessageName[]]): fc.Arbitrary<Evidence> {
  const [first] = ids;
  return fc.oneof(
    fc.record({
      type: fc.constant("callback"),
      event: fc.constantFrom("sent", "failed"),
      attempt: fc.constant(attempt),
      message: fc.constantFrom(...ids, null),
    }),
    fc.record({
      type: fc.constant("result"),
      outcome: fc.constantFrom("sent", "failed"),
      attempt: fc.constant(attempt),
      message: fc.constantFrom(...ids, null),
    }),
    fc.record({
      type: fc.constant("result"),
      outcome: fc.constant("accepted"),
      attempt: fc.constant(attempt),
      message: fc.constantFrom(first, null),
    }),
    fc.record({
      type: fc.constant("result"),
      outcome: fc.constantFrom("unknown", "deferred", "not_found"),
      attempt: fc.constant(attempt),
      message: fc.constant(null),
    }),
  );
}

function receipt(messages: readonly MessageName[]): fc.Arbitrary<Evidence> {
  return fc.record({
    type: fc.constant("receipt"),
    kind: fc.constantFrom("delivered", "delivered", "read", "read", "played", "sent", "failed"),
    message: fc.oneof(
      { weight: 8, arbitrary: fc.constantFrom(...messages) },
      { weight: 1, arbitrary: fc.constant("unknown") },
    ),
    reader: fc.oneof(
      { weight: 3, arbitrary: fc.integer({ min: 1, max: 3 }) },
      { weight: 1, arbitrary: fc.constant(null) },
    ),
    spelling: fc.constantFrom("plain", "plain", "device", "agent", "spaces"),
  });
}

/** What names the recipient alone. A person has nothing to say of what was never tried: that is refused. */
function said(claims: number): fc.Arbitrary<Evidence> {
  return claims === 0
    ? increment
    : fc.oneof({ weight: 2, arbitrary: increment }, { weight: 1, arbitrary: confirmation });
}

const increment: fc.Arbitrary<Evidence> = fc.constant({ type: "increment" });

const confirmation: fc.Arbitrary<Evidence> = fc.record({
  type: fc.constant("confirm"),
  sent: fc.boolean(),
  message: fc.constantFrom<MessageName | null>("new1", null),
});

/** A gateway refuses an attempt for now, or has never heard of it: not both. See outcomeOf. */
function withoutContradiction(events: readonly Evidence[]): readonly Evidence[] {
  const isDeferred = events.some((event) => event.type === "result" && event.outcome === "deferred");
  return events.filter((event) => event.type !== "result" || event.outcome !== "not_found" || !isDeferred);
}
