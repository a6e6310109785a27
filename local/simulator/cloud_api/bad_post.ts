import type { BadPost } from "../contacts/provider.ts";
import type { Post } from "../deliver.ts";
import type { Random } from "../random.ts";
import type { CloudApiEvent } from "./event.ts";

/** Makes a signed post of a text. */
export type Sign = (body: string, appSecret?: string) => Post;

const KINDS = [
  "forged",
  "bad JSON",
  "unknown field",
  "unknown status",
  "status without an id",
  "message that is none",
] as const;

/**
 * A post, or an element, that Meta would not make.
 * @param event where an element belongs
 * @param lie the body of a post that says something untrue about a true message
 */
export function badPost(event: CloudApiEvent, lie: string, sign: Sign, draw: Random): BadPost<CloudApiEvent> {
  const kind = draw.pick(KINDS);
  switch (kind) {
    case "forged":
      return { form: "post", post: sign(lie, "another-secret"), status: 401, what: "forged post" };
    case "bad JSON":
      return { form: "post", post: sign(lie.slice(0, -9)), status: 400, what: "post that is not JSON" };
    case "unknown field": {
      const change = { field: "phone_number_quality_update", value: { event: "FLAGGED", current_limit: "TIER_1K" } };
      const body = JSON.stringify({ object: "whatsapp_business_account", entry: [{ id: "0", changes: [change] }] });
      return { form: "post", post: sign(body), status: 200, what: "post about something else" };
    }
    case "unknown status":
      return element(event, "statuses", { id: "wamid.none", status: "starred", timestamp: "1700000000" });
    case "status without an id":
      return element(event, "statuses", { status: "read", timestamp: 1700000000, recipient_id: ["91"] });
    case "message that is none":
      return element(event, "messages", { from: 7, type: { text: "x" } });
  }
}

function element(event: CloudApiEvent, list: CloudApiEvent["list"], element: unknown): BadPost<CloudApiEvent> {
  return { form: "element", event: { ...event, list, element } };
}
