// For tests: a form as Twilio posts it, signed by Twilio's own package.
import twilio from "twilio/webhooks";

/** The address of the functions as Twilio knows it. */
export const PUBLIC_URL = "https://example.supabase.co/functions/v1";

/** What a test may change of it. */
export interface FormOptions {
  readonly query?: string;
  readonly token?: string;
  /** In place of the right one. */
  readonly signature?: string;
}

/** Signs a form for the public address and posts it to the inner one, as the platform does. */
export function signedForm(form: string | Record<string, string>, options: FormOptions = {}): Request {
  const { query = "", token = "auth-token" } = options;
  const params = new URLSearchParams(form);
  const address = `${PUBLIC_URL}/sms-delivery-webhook${query}`;
  const signature = options.signature ?? signTwilioForm(token, address, params);
  return new Request(`http://127.0.0.1:8000/sms-delivery-webhook${query}`, {
    method: "POST",
    headers: {
      "content-type": "application/x-www-form-urlencoded; charset=UTF-8",
      ...signature === "" ? {} : { "x-twilio-signature": signature },
    },
    body: typeof form === "string" ? form : params.toString(),
  });
}

/** What Twilio's own package makes of it: its receivers hand over a repeated parameter as an array. */
export function signTwilioForm(token: string, address: string, params: URLSearchParams): string {
  const fields = [...Map.groupBy(params, ([name]) => name)].map(([name, pairs]) => {
    const values = pairs.map(([, value]) => value);
    return [name, values.length === 1 ? values[0] : values] as const;
  });
  return twilio.getExpectedTwilioSignature(token, address, Object.fromEntries(fields));
}
