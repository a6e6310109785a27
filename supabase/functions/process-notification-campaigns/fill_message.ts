import { z } from "zod";
import type { Json } from "../_shared/database.types.ts";
import { storable } from "../_shared/storable.ts";

/** The message to send, or why it must not be sent. */
export type FilledMessage =
  | { readonly ok: true; readonly message: Json }
  | { readonly ok: false; readonly errorCode: string; readonly errorMessage: string };

const object = z.record(z.string(), z.unknown());
const variable = /\{\{\s*(.*?)\s*\}\}/gs;

/**
 * Makes the message out of a campaign's content and one recipient's variables.
 *
 * In `{type: "text", text}` (or only `{text}`) each `{{name}}` is replaced by the variable of that name: a text, a
 * number or a boolean. A variable that is missing refuses the message: nobody gets one that is half filled. Any other
 * content is the gateway's business and goes on as it is.
 */
export function fillMessage(content: unknown, variables: unknown): FilledMessage {
  const parsed = object.safeParse(content);
  if (!parsed.success) return refuse("invalid_content", "the campaign's content is not a JSON object");
  const { type, text } = parsed.data;
  if (type !== undefined && type !== "text") return { ok: true, message: storable(parsed.data) };
  if (typeof text !== "string") {
    return type === undefined && text === undefined && Object.keys(parsed.data).length > 0
      ? { ok: true, message: storable(parsed.data) }
      : refuse("invalid_content", "the campaign's content has no text");
  }

  const values = object.safeParse(variables ?? {}).data ?? {};
  const missing = new Set<string>();
  const filled = text.replace(variable, (_match, name: string) => {
    const value = Object.hasOwn(values, name) ? values[name] : undefined;
    if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return String(value);
    missing.add(name);
    return "";
  });
  if (missing.size > 0) {
    const names = [...missing].map((name) => `{{${name}}}`).join(", ");
    return refuse("missing_variable", `no value for ${names.slice(0, 400)} among the recipient's variables`);
  }
  if (filled.trim() === "") return refuse("invalid_content", "the message is empty once its variables are filled in");
  return { ok: true, message: { type: "text", text: filled } };
}

function refuse(errorCode: string, errorMessage: string): FilledMessage {
  return { ok: false, errorCode, errorMessage };
}
