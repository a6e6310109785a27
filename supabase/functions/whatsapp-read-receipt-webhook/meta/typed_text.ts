import { isObject } from "../../_shared/is_object.ts";

/** Where messages of Meta's keep what a person typed, or the words of the button they pressed. */
const PLACES: readonly (readonly string[])[] = [
  ["text", "body"],
  ["button", "text"],
  ["interactive", "button_reply", "title"],
  ["interactive", "list_reply", "title"],
  ["image", "caption"],
  ["video", "caption"],
  ["document", "caption"],
  ["order", "text"],
];

/**
 * What a person said with a message: typed, pressed, as a caption, or in its place when it is an edit. Null for all that
 * is not in their own words: reactions, places, contacts, answers to a form, notices of the system.
 *
 * This is what is shown as the message, and what may be a word like STOP.
 */
export function typedText(message: unknown): string | null {
  for (const place of PLACES) {
    const text = textAt(message, place) ?? textAt(message, ["edit", "message", ...place]);
    if (text !== null) return text;
  }
  return null;
}

function textAt(value: unknown, place: readonly string[]): string | null {
  let at = value;
  for (const name of place) at = isObject(at) ? at[name] : undefined;
  return typeof at === "string" && at.trim() !== "" ? at : null;
}
