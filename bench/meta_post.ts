import { escapeJson } from "../local/simulator/cloud_api/escape_json.ts";
import type { CloudApiEvent } from "../local/simulator/cloud_api/event.ts";
import { webhookBody } from "../local/simulator/cloud_api/webhook_body.ts";
import { randomFor } from "../local/simulator/random.ts";
import type { Json } from "../supabase/functions/_shared/database.types.ts";
import { readMetaPost } from "../supabase/functions/whatsapp-read-receipt-webhook/meta/read_meta_post.ts";

/** A post of Meta's, and what the webhook makes of it for the database. */
export interface MetaPost {
  readonly body: string;
  readonly receipts: Json[];
  readonly messages: Json[];
}

let posts = 0;

/** A post with these events, spread over entries and changes, each with its contacts. */
export function metaPost(events: readonly CloudApiEvent[]): MetaPost {
  const value = webhookBody(events, randomFor(posts++, "bench"));
  const read = readMetaPost(value);
  if (!read.ok || read.value.malformed > 0) throw new Error("The webhook cannot read a post of the benchmark");
  return { body: escapeJson(value), receipts: read.value.receipts, messages: read.value.messages };
}
