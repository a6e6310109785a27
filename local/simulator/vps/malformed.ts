/** Each way in which a post can be undigestible, and the webhook it goes to. */
export const MALFORMED_KINDS = [
  "callback: bad JSON",
  "callback: wrong types",
  "callback: missing fields",
  "callback: unknown event",
  "callback: bad array element",
  "receipt: bad JSON",
  "receipt: wrong types",
  "receipt: missing fields",
  "receipt: unknown event",
  "receipt: bad array element",
] as const;

/** One way in which a post can be undigestible. */
export type MalformedKind = (typeof MALFORMED_KINDS)[number];

/** A body no honest gateway would send. */
export type MalformedPost =
  /** A post of its own, and the only status that is a right answer to it. */
  | { readonly form: "post"; readonly body: string; readonly status: 200 | 400 }
  /** An element to travel in an array among good ones, which must be taken all the same. */
  | { readonly form: "element"; readonly element: unknown };

/** The body of one malformed post. It names the true group, and nothing by which it could be taken for true. */
export function malformedPost(kind: MalformedKind, sessionId: string, groupJid: string): MalformedPost {
  const seconds = Math.floor(Date.now() / 1000);
  switch (kind) {
    case "callback: bad JSON":
      return { form: "post", body: `{"event":"message_sent","groupJid":"${groupJid}","messageId":`, status: 400 };
    case "callback: wrong types":
      return refused({ event: "message_sent", sessionId: 7, groupJid: [groupJid], messageId: {}, timestamp: seconds });
    case "callback: missing fields":
      return refused({ event: "message_sent", sessionId, timestamp: seconds });
    case "callback: unknown event":
      return journaled({ event: "session_disconnected", sessionId, groupJid, timestamp: seconds });
    case "callback: bad array element":
      return { form: "element", element: { event: "message_sent", sessionId, groupJid: null, messageId: 12 } };
    case "receipt: bad JSON":
      return { form: "post", body: `[{"event":"message_read","groupJid":"${groupJid}"},`, status: 400 };
    case "receipt: wrong types":
      return refused({ event: "message_read", sessionId, groupJid, messageId: 42, reader: { jid: "91" } });
    case "receipt: missing fields":
      return refused({ event: "message_delivered", sessionId, groupJid, timestamp: seconds });
    case "receipt: unknown event":
      return journaled({ event: "message_starred", sessionId, groupJid, messageId: "3EB0", timestamp: seconds });
    case "receipt: bad array element":
      return { form: "element", element: { event: "message_delivered", sessionId, messageId: ["3EB0"], reader: 5 } };
  }
}

function refused(body: unknown): MalformedPost {
  return { form: "post", body: JSON.stringify(body), status: 400 };
}

function journaled(body: unknown): MalformedPost {
  return { form: "post", body: JSON.stringify(body), status: 200 };
}
