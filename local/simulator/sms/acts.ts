import { phrases } from "../contacts/phrases.ts";
import type { Act } from "../contacts/provider.ts";
import type { Random } from "../random.ts";
import type { SmsEvent } from "./event.ts";
import { sid } from "./sid.ts";

/** Who writes to which number, and where Twilio posts what is written. */
export interface Conversation {
  readonly accountSid: string;
  readonly from: string;
  readonly to: string;
  readonly webhookUrl: string;
}

const STORIES = ["talk", "talk", "picture", "stop", "stop, start"] as const;

/**
 * What a person may do about a message of the business, step by step.
 * @param ids where message ids come from
 */
export function planActs(conversation: Conversation, draw: Random, ids: Random): Act<SmsEvent>[] {
  const write = (text: string, wantsMore: boolean | null = null) => planText(conversation, text, ids, wantsMore);
  switch (draw.pick(STORIES)) {
    case "talk":
      return [write(draw.pick(phrases.chat))];
    case "picture":
      return [planText(conversation, "", ids, null, true)];
    case "stop":
      return [write(draw.pick(phrases.stop), false)];
    case "stop, start": {
      const stop = write(draw.pick(phrases.stop), false);
      // Twilio posts again what was not answered in time: an old STOP must not undo a newer START
      return [stop, write(draw.pick(phrases.start), true), { ...stop, inbound: null, wantsMore: null }];
    }
  }
}

/** A text that somebody writes, with or without a picture. */
export function planText(
  { accountSid, from, to, webhookUrl }: Conversation,
  text: string,
  ids: Random,
  wantsMore: boolean | null,
  picture = false,
): Act<SmsEvent> {
  const messageId = sid(picture ? "MM" : "SM", from.replace("+", ""), ids);
  const form = {
    ToCountry: "US",
    SmsMessageSid: messageId,
    NumMedia: picture ? "1" : "0",
    SmsSid: messageId,
    SmsStatus: "received",
    Body: text,
    FromCountry: "IN",
    To: to,
    NumSegments: "1",
    MessageSid: messageId,
    AccountSid: accountSid,
    From: from,
    ApiVersion: "2010-04-01",
    ...(picture ? { MediaUrl0: `https://api.twilio.com/${messageId}/Media/ME1`, MediaContentType0: "image/jpeg" } : {}),
  };
  return {
    event: { url: webhookUrl, form },
    inbound: {
      messageId,
      sessionId: to,
      contact: from.replace("+", ""),
      userId: null,
      type: "text",
      text: text || null,
    },
    wantsMore,
  };
}
