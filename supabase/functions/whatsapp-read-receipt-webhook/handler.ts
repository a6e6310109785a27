import { authorize } from "../_shared/authorize.ts";
import type { Deps } from "../_shared/deps.ts";
import { failureResponse } from "../_shared/failure_response.ts";
import { receiveEvents } from "../_shared/receive_events.ts";
import { parseReceipt } from "./parse_receipt.ts";
import { recordReceipts } from "./record_receipts.ts";

/**
 * The gateway reports who got, read or played a message: one receipt or an array of thousands.
 *
 * Answers `{ok: true, recorded, duplicates, parked, journaled}`.
 */
export async function handle(request: Request, deps: Deps): Promise<Response> {
  const refusal = authorize(request, deps.environment, "WEBHOOK_SECRET_KEY");
  if (refusal !== undefined) return failureResponse(refusal);
  return await receiveEvents(request, deps, {
    source: "receipt",
    parse: parseReceipt,
    record: (events) => recordReceipts(deps, events),
    none: { recorded: 0, duplicates: 0, parked: 0, journaled: 0 },
  });
}
