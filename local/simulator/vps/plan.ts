import type { Faults } from "../faults.ts";
import { MALFORMED_KINDS, type MalformedKind } from "./malformed.ts";
import { randomFor } from "../random.ts";

/** What will happen to one send, decided before anything is answered. */
export interface SendPlan {
  readonly answer: "accept" | "reject" | "busy" | "hang" | "reset";
  /** What the gateway makes of the message once it has taken it. */
  readonly outcome: "sent" | "failed" | "failed-then-sent";
  readonly callback: {
    readonly lost: boolean;
    readonly early: boolean;
    readonly doubled: boolean;
    readonly withoutId: boolean;
  };
  readonly receiptsEarly: boolean;
  readonly malformed: MalformedKind | null;
  readonly answerMs: number;
  readonly callbackMs: number;
  readonly hangMs: number;
}

/**
 * Decides the fate of one request to send to a group.
 * @param request which request for this group it is, from 1: each has a fate of its own
 */
export function planSend(faults: Faults, groupJid: string, request: number): SendPlan {
  const draw = (purpose: string) => randomFor(faults.seed, groupJid, purpose, request);
  const lost = draw("callback lost").chance(faults.callbacksLost);
  const busy = request === 1 && draw("busy").chance(faults.sendsBusy);
  const answer = busy ? "busy" : planAnswer(faults, draw);
  // A message that two callbacks will contradict each other about needs both of them, in order.
  const outcome = planOutcome(faults, draw, lost);
  const contradicted = outcome === "failed-then-sent";
  return {
    answer,
    outcome,
    callback: {
      lost,
      early: !lost && !contradicted && draw("callback early").chance(faults.callbacksEarly),
      doubled: !lost && draw("callback doubled").chance(faults.callbacksDoubled),
      withoutId: draw("callback without id").chance(faults.callbacksWithoutId),
    },
    receiptsEarly: draw("receipts early").chance(faults.receiptsEarly),
    malformed: draw("malformed").chance(faults.malformedPosts) ? draw("malformed kind").pick(MALFORMED_KINDS) : null,
    answerMs: draw("answer time").int(...faults.answerMs),
    callbackMs: draw("callback time").int(...faults.callbackMs),
    hangMs: draw("hang time").int(...faults.hangMs),
  };
}

type Draw = (purpose: string) => ReturnType<typeof randomFor>;

function planAnswer(faults: Faults, draw: Draw): SendPlan["answer"] {
  if (draw("rejected").chance(faults.sendsRejected)) return "reject";
  if (draw("timeout").chance(faults.sendTimeouts)) return draw("timeout kind").pick(["hang", "reset"]);
  return "accept";
}

function planOutcome(faults: Faults, draw: Draw, lost: boolean): SendPlan["outcome"] {
  if (draw("failed").chance(faults.sendsFailed)) return "failed";
  if (!lost && draw("failed then sent").chance(faults.sendsFailedThenSent)) return "failed-then-sent";
  return "sent";
}
