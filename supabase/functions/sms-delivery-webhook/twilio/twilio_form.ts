import type { Json } from "../../_shared/database.types.ts";
import { storableText } from "../../_shared/storable_text.ts";

/** A form of Twilio's, in which every text is one that `jsonb` takes. */
export interface TwilioForm {
  /** What it says of the message, in lower case; empty when it says nothing. */
  readonly status: string;
  /** The parameters by name; of a repeated one the last. */
  readonly fields: Readonly<Record<string, string>>;
  /** All of it; of a repeated parameter every value. */
  readonly payload: Json;
}

/** Reads the parameters of a form. */
export function twilioForm(params: URLSearchParams): TwilioForm {
  const texts = [...params].map(([name, value]) => [storableText(name), storableText(value)] as const);
  const fields = Object.fromEntries(texts);
  const payload = [...Map.groupBy(texts, ([name]) => name)].map(([name, pairs]) => {
    const values = pairs.map(([, value]) => value);
    return [name, values.length === 1 ? values[0] ?? "" : values] as const;
  });
  return {
    status: (fields.MessageStatus || fields.SmsStatus || "").toLowerCase(),
    fields,
    payload: Object.fromEntries(payload),
  };
}
