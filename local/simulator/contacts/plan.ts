import type { Faults } from "../faults.ts";
import { randomFor } from "../random.ts";

/** A section of the faults whose gateway sends to contacts. */
export type ContactSection = "cloudApi" | "sms";

/** What will happen to one request to send, decided before anything is answered. */
export interface RequestPlan {
  readonly answer: "accept" | "reject" | "busy" | "break" | "break-yet-take" | "hang" | "reset";
  /** The first report is posted, and answered, before the request is. */
  readonly early: boolean;
  readonly malformed: boolean;
  readonly answerMs: number;
  readonly hangMs: number;
}

/**
 * Decides the fate of one request to send to a contact.
 * @param request which request for this contact it is, from 1: each has a fate of its own, but for a contact that is
 *   rejected, which stays so
 */
export function planRequest(faults: Faults, section: ContactSection, contact: string, request: number): RequestPlan {
  const rates = faults[section];
  const draw = (purpose: string) => randomFor(faults.seed, section, contact, purpose, request);
  const first = request === 1 ? 1 : 0;

  function answer(): RequestPlan["answer"] {
    if (draw("busy").chance(rates.sendsBusy * first)) return "busy";
    if (draw("broken").chance(rates.sendsBroken * first)) return "break";
    if (randomFor(faults.seed, section, contact, "rejected").chance(rates.sendsRejected)) return "reject";
    if (draw("broken yet taken").chance(rates.sendsBrokenYetTaken)) return "break-yet-take";
    return draw("timeout").chance(rates.sendTimeouts) ? draw("timeout kind").pick(["hang", "reset"]) : "accept";
  }

  return {
    answer: answer(),
    early: draw("early").chance(rates.reportsEarly),
    malformed: draw("malformed").chance(rates.malformedPosts),
    answerMs: draw("answer time").int(...faults.answerMs),
    hangMs: draw("hang time").int(...faults.hangMs),
  };
}
