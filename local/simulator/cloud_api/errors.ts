/** What the Graph API says under each code that the simulator gives. */
const WORDS: Readonly<Record<string, { readonly title: string; readonly details: string }>> = {
  "2": { title: "Service temporarily unavailable", details: "An unexpected error has occurred." },
  "100": { title: "Invalid parameter", details: "A parameter is missing or malformed." },
  "190": { title: "Invalid OAuth access token - Cannot parse access token", details: "" },
  "130429": { title: "Rate limit hit", details: "Cloud API message throughput has been reached." },
  "130472": { title: "User's number is part of an experiment", details: "Failed to send message, see the experiment." },
  "131000": { title: "Something went wrong", details: "Message failed to send because of an unknown error." },
  "131009": { title: "Parameter value is not valid", details: "The value of one or more parameters is not valid." },
  "131016": { title: "Service unavailable", details: "A service is temporarily unavailable." },
  "131026": { title: "Message undeliverable", details: "Message was not delivered." },
  "131036": {
    title: "Message failed to be delivered on at least one of the user's device",
    details: "One of the devices could not store the message.",
  },
  "131047": { title: "Re-engagement message", details: "More than 24 hours have passed since they last replied." },
  "131049": {
    title: "This message was not delivered to maintain healthy ecosystem engagement.",
    details: "In order to maintain a healthy ecosystem engagement, the message failed to be delivered.",
  },
  "131050": { title: "User has stopped marketing messages", details: "The user has chosen to stop receiving them." },
  "131053": { title: "Media upload error", details: "Unable to upload the media used in the message." },
  "131056": {
    title: "(Business Account, Consumer Account) pair rate limit hit",
    details: "Too many messages sent from this phone number to the same phone number.",
  },
};

/** An error as it stands in the list `errors` of a status. */
export function statusError(code: string): unknown {
  const { title, details } = wordsOf(code);
  return { code: Number(code), title, message: title, error_data: { details } };
}

/** An error as the Graph API answers it. */
export function errorAnswer(
  status: number,
  code: string,
  traceId: string,
  headers: Readonly<Record<string, string>> = {},
  details: string = wordsOf(code).details,
): Response {
  const error = {
    message: code === "190" ? wordsOf(code).title : `(#${code}) ${wordsOf(code).title}`,
    type: "OAuthException",
    code: Number(code),
    ...(details === "" ? {} : { error_data: { messaging_product: "whatsapp", details } }),
    ...(status === 500 ? { is_transient: true } : {}),
    fbtrace_id: traceId,
  };
  return Response.json({ error }, { status, headers: { ...headers } });
}

function wordsOf(code: string): { readonly title: string; readonly details: string } {
  return WORDS[code] ?? { title: "Unknown error", details: "" };
}
