import { createHmac } from "node:crypto";

/** The header `X-Twilio-Signature` of a form post: over the address, and each field's name and value, by name. */
export function signForm(url: string, form: Readonly<Record<string, string>>, authToken: string): string {
  const names = Object.keys(form).sort();
  const signed = names.reduce((text, name) => text + name + form[name], url);
  return createHmac("sha1", authToken).update(signed, "utf8").digest("base64");
}
