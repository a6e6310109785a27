import type { Alarm } from "./alarm.ts";

/** What a provider said may be long; whoever is alarmed looks it up. */
const MAX_MESSAGE = 1_000;

/**
 * Alarms as the text of one post, a line each.
 *
 * `&`, `<` and `>` are escaped as Slack wants it: a provider's words must not call a whole channel (`<!channel>`).
 */
export function alarmText(alarms: readonly Alarm[]): string {
  return alarms.map(line).join("\n");
}

function line({ kind, cause, message, opened_at, resolved_at }: Alarm): string {
  const text = escaped(message.replaceAll(/\s+/g, " ").slice(0, MAX_MESSAGE));
  if (kind === "opened" || resolved_at === null) return `ALARM ${cause}: ${text}`;
  const minutes = Math.max(1, Math.round((Date.parse(resolved_at) - Date.parse(opened_at)) / 60_000));
  return `RECOVERED ${cause}, after ${minutes} min. It was: ${text}`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
