import { z } from "zod";
import type { Json } from "../_shared/database.types.ts";
import { storable } from "../_shared/storable.ts";
import { textMessage } from "./text_message.ts";

/** The message to send, or why it must not be sent. */
export type FilledMessage =
  | { readonly ok: true; readonly message: Json }
  | {
    readonly ok: false;
    readonly errorCode: string;
    readonly errorMessage: string;
  };

/**
 * Makes the message out of a campaign's content and one recipient's variables.
 *
 * Content is `{type: "text", text}` (or only `{text}`), a template, or anything else that the gateway understands.
 * A template is in Meta's shape, `{type: "template", template: {name, language, components}}`, or in short
 * `{type: "template", name, language, components}`, with `parameters: ["{{name}}", …]` for those of its body; its
 * language may be a plain code such as `en_US`. A template comes out in Meta's shape.
 *
 * Each `{{name}}`, in every text of the content, is replaced by the variable of that name: a text, a number or a
 * boolean. A variable that is missing refuses the message: nobody gets one that is half filled.
 */
export function fillMessage(content: unknown, variables: unknown): FilledMessage {
  const shaped = shape(content);
  if (!shaped.ok) return shaped;

  const values = object.safeParse(variables ?? {}).data ?? {};
  const missing = new Set<string>();
  const message = fill(shaped.message, values, missing);
  if (missing.size > 0) {
    const names = [...missing].map((name) => `{{${name}}}`).join(", ");
    return refuse("missing_variable", `no value for ${names.slice(0, 400)} among the recipient's variables`);
  }
  if (textMessage.safeParse(message).data?.text.trim() === "") {
    return refuse("invalid_content", "the message is empty once its variables are filled in");
  }
  return { ok: true, message };
}

const object = z.record(z.string(), z.unknown());

/** The content with its short forms written out. */
function shape(content: unknown): FilledMessage {
  const parsed = object.safeParse(content);
  if (!parsed.success) {
    return refuse("invalid_content", "the campaign's content is not a JSON object");
  }
  const { type, text, ...rest } = parsed.data;
  if (type === "template") return shapeTemplate(parsed.data);
  const isText = type === "text" || (type === undefined && (text !== undefined || Object.keys(rest).length === 0));
  if (!isText) return { ok: true, message: storable(parsed.data) };
  if (typeof text === "string") {
    return { ok: true, message: { type: "text", text } };
  }
  const message = storable({ ...rest, type: "text", text });
  return textMessage.safeParse(message).success
    ? { ok: true, message }
    : refuse("invalid_content", "the campaign's content has no text");
}

const template = z.looseObject({
  name: z.string().trim().min(1),
  language: z.union([z.string().trim().min(1).transform((code) => ({ code })), z.looseObject({ code: z.string() })]),
});
const templateInShort = template.extend({
  components: z.array(z.unknown()).default([]),
  parameters: z.array(z.unknown()).optional(),
});

function shapeTemplate(content: Readonly<Record<string, unknown>>): FilledMessage {
  const isInShort = content.template === undefined;
  const parsed = isInShort ? writeOut(content) : template.safeParse(content.template).data;
  return parsed === undefined
    ? refuse("invalid_content", "the campaign's template lacks its name or its language, such as en_US")
    : { ok: true, message: storable({ ...(isInShort ? { type: "template" } : content), template: parsed }) };
}

/** A template in short, in Meta's shape. */
function writeOut(content: unknown): unknown {
  const parsed = templateInShort.safeParse(content).data;
  if (parsed === undefined) return undefined;
  const { name, language, components, parameters } = parsed;
  const body = parameters === undefined ? [] : [{ type: "body", parameters: parameters.map(textParameter) }];
  const all = [...components, ...body];
  return { name, language, ...(all.length === 0 ? {} : { components: all }) };
}

/** A parameter as Meta wants it; one that is an object has that shape already. */
function textParameter(value: unknown): unknown {
  return typeof value === "object" && value !== null ? value : { type: "text", text: String(value ?? "") };
}

const variable = /\{\{(.*?)\}\}/gs;

/** A value with the variables of all its texts filled in. Names that have no value are added to `missing`. */
function fill(value: Json, values: Readonly<Record<string, unknown>>, missing: Set<string>): Json {
  if (typeof value === "string") {
    return value.replace(variable, (_match, inner: string) => {
      const name = inner.trim();
      const given = Object.hasOwn(values, name) ? values[name] : undefined;
      if (typeof given === "string" || typeof given === "number" || typeof given === "boolean") return String(given);
      missing.add(name);
      return "";
    });
  }
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) {
    return value.map((entry) => fill(entry, values, missing));
  }
  return Object.fromEntries(Object.entries(value).map(([name, entry]) => [name, fill(entry ?? null, values, missing)]));
}

function refuse(errorCode: string, errorMessage: string): FilledMessage {
  return { ok: false, errorCode, errorMessage };
}
