import { phrases } from "../contacts/phrases.ts";
import type { Act } from "../contacts/provider.ts";
import type { InboundRecord } from "../contacts/record.ts";
import type { Random } from "../random.ts";
import type { CloudApiEvent } from "./event.ts";
import type { Person } from "./person.ts";
import { wamid } from "./wamid.ts";

/** Who writes to which number, and about which message. */
export interface Conversation {
  readonly phoneNumberId: string;
  readonly person: Person;
  /** The campaign's message, as the person sees it. */
  readonly about: string;
}

const STORIES = ["talk", "talk", "media", "react", "edit", "button", "button reply"] as const;
const CONSENT_STORIES = ["stop button", "stop", "stop, start", "prefer stop", "prefer stop, resume"] as const;

type Content = Readonly<Record<string, unknown>> & { readonly type: string };

/** Seconds between two things that a person does: what they say last is later, to the second. */
const STEP_SECONDS = 30;

/**
 * What a person may do about a message of the business, step by step.
 * @param ids where message ids come from
 */
export function planActs(conversation: Conversation, draw: Random, ids: Random): Act<CloudApiEvent>[] {
  const { person: { contact, hidden }, about } = conversation;
  const acts: Act<CloudApiEvent>[] = [];

  function write(content: Content, text: string | null = null, wantsMore: boolean | null = null): string {
    const messageId = wamid(contact, ids);
    acts.push(message(conversation, messageId, content, text, wantsMore, secondsAt(acts.length)));
    return messageId;
  }
  function say(text: string, wantsMore: boolean | null = null): string {
    return write({ type: "text", text: { body: text } }, text, wantsMore);
  }
  function prefer(value: "stop" | "resume"): void {
    acts.push(preference(conversation, value, secondsAt(acts.length)));
  }
  /** Meta posts something again that it has posted before, as it does for up to seven days. */
  function repeat(act: Act<CloudApiEvent> | undefined): void {
    if (act !== undefined) acts.push({ event: act.event, inbound: null, wantsMore: null });
  }

  // Whoever goes by a username and ends it all could not be found again by their number: they just talk.
  switch (draw.pick(hidden ? STORIES : [...STORIES, ...CONSENT_STORIES])) {
    case "talk":
      say(draw.pick(phrases.chat));
      break;
    case "media":
      write(draw.pick(media(draw)));
      break;
    case "react": {
      write({ type: "reaction", reaction: { message_id: about, emoji: "❤️" } });
      if (draw.chance(0.3)) write({ type: "reaction", reaction: { message_id: about } }); // taken back
      break;
    }
    case "edit": {
      const original_message_id = say(draw.pick(phrases.chat));
      const edited = { type: "text", text: { body: `${draw.pick(phrases.chat)} (edited)` } };
      write({ type: "edit", edit: { original_message_id, message: { context: { id: about }, ...edited } } });
      break;
    }
    case "button": {
      const text = "Count me in";
      write({ type: "button", context: { id: about }, button: { payload: "yes", text } }, text);
      break;
    }
    case "button reply": {
      const title = "Maybe";
      const reply = { type: "button_reply", button_reply: { id: "maybe", title } };
      write({ type: "interactive", context: { id: about }, interactive: reply }, title);
      break;
    }
    case "stop button": {
      const text = "Stop";
      write({ type: "button", context: { id: about }, button: { payload: "opt-out", text } }, text, false);
      break;
    }
    case "stop":
      say(draw.pick(phrases.stop), false);
      break;
    case "stop, start":
      say(draw.pick(phrases.stop), false);
      say(draw.pick(phrases.start), true);
      repeat(acts[0]);
      break;
    case "prefer stop":
      prefer("stop");
      break;
    case "prefer stop, resume":
      prefer("stop");
      prefer("resume");
      break;
  }
  return acts;
}

/** A text that somebody writes now. */
export function planText(conversation: Conversation, text: string, ids: Random): Act<CloudApiEvent> {
  return message(
    conversation,
    wamid(conversation.person.contact, ids),
    { type: "text", text: { body: text } },
    text,
    null,
    secondsAt(0),
  );
}

function message(
  { phoneNumberId, person }: Conversation,
  messageId: string,
  content: Content,
  text: string | null,
  wantsMore: boolean | null,
  seconds: number,
): Act<CloudApiEvent> {
  const { waId, hidden, userId, entry } = person;
  const inbound: InboundRecord = {
    messageId,
    sessionId: phoneNumberId,
    contact: hidden ? null : waId,
    userId: hidden ? userId : null,
    type: content.type,
    text,
  };
  const from = hidden ? { from_user_id: userId } : { from: waId };
  const element = { ...from, id: messageId, timestamp: `${seconds}`, ...content };
  return { event: { phoneNumberId, list: "messages", element, person: entry }, inbound, wantsMore };
}

function preference(
  { phoneNumberId, person }: Conversation,
  value: "stop" | "resume",
  timestamp: number,
): Act<CloudApiEvent> {
  const detail = `User requested to ${value} marketing messages`;
  // the only time that Meta writes as a number
  const element = { wa_id: person.waId, detail, category: "marketing_messages", value, timestamp };
  return {
    event: { phoneNumberId, list: "user_preferences", element, person: person.entry },
    inbound: null,
    wantsMore: value === "resume",
  };
}

function media(draw: Random): [Content, ...Content[]] {
  const file = { sha256: draw.hex(16), id: `${draw.int(1e8, 9e8)}` };
  return [
    { type: "image", image: { caption: "¿Es aquí?", mime_type: "image/jpeg", ...file } },
    { type: "audio", audio: { mime_type: "audio/ogg; codecs=opus", voice: true, ...file } },
    { type: "document", document: { filename: "ticket.pdf", mime_type: "application/pdf", ...file } },
    { type: "location", location: { latitude: 12.97, longitude: 77.59, name: "MG Road" } },
  ];
}

function secondsAt(step: number): number {
  return Math.floor(Date.now() / 1000) - 300 + step * STEP_SECONDS;
}
