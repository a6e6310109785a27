import { z } from "zod";
import type { Deps } from "../_shared/deps.ts";
import { EnvironmentError } from "../_shared/environment_error.ts";
import { parseAnswer } from "../_shared/parse_answer.ts";
import { silentMinutes } from "../_shared/silent_minutes.ts";
import { type Alarm, alarm } from "./alarm.ts";
import { alarmText } from "./alarm_text.ts";
import { classifyFetchError } from "./gateways/classify_fetch_error.ts";
import type { Gateway } from "./gateways/gateway.ts";

const TIMEOUT_MS = 5_000;
/** In one post; the next run posts the others. */
const MOST_AT_ONCE = 20;

/**
 * Checks what a person must look into, and posts what is new of it, or over, to `ALERT_WEBHOOK_URL` as Slack takes it:
 * `{text}`. Without that address alarms are checked all the same, and `health` shows them.
 *
 * At least once: what was posted and could not be recorded, or not posted, is handed out again later. Never throws, and
 * ends within seconds; the address is a secret and stays out of the log.
 *
 * @param gateways What the run could send through; empty for a run that could not send.
 */
export async function postAlarms(deps: Deps, gateways: ReadonlyMap<string, Gateway> = new Map()): Promise<void> {
  try {
    const address = usable(deps, () => deps.environment.secretAddress("ALERT_WEBHOOK_URL"));
    const checked = await deps.rpc("check_alarms", {
      p_silence: `${usable(deps, () => silentMinutes(deps.environment)) ?? 15} minutes`,
      p_gateways: [...gateways.keys()],
      p_default_senders: defaultSenders(gateways),
      p_limit: address === undefined ? 0 : MOST_AT_ONCE,
    });
    const alarms = parseAnswer(checked, z.array(alarm), "check_alarms", deps.log);
    if (!alarms.ok || address === undefined || alarms.value.length === 0) return;
    if (!await post(deps, address, alarmText(alarms.value))) return;
    const ids = (kind: Alarm["kind"]) => alarms.value.filter((each) => each.kind === kind).map(({ id }) => id);
    const posted = { p_opened: ids("opened"), p_resolved: ids("resolved") };
    deps.log.info("alarms_posted", { opened: posted.p_opened.length, resolved: posted.p_resolved.length });
    await deps.rpc("record_alarms_posted", posted);
  } catch (thrown) {
    // not its message, which may name the address
    deps.log.error("alarms_failed", { error: thrown instanceof Error ? thrown.name : typeof thrown });
  }
}

/** A variable's value; one that cannot be used is a fault of its own, and not the run's. */
function usable<Value>(deps: Deps, read: () => Value): Value | undefined {
  try {
    return read();
  } catch (thrown) {
    if (!(thrown instanceof EnvironmentError)) throw thrown;
    deps.log.error("alarms_misconfigured", { variable: thrown.variable, message: thrown.message });
    return undefined;
  }
}

function defaultSenders(gateways: ReadonlyMap<string, Gateway>): Record<string, string> {
  return Object.fromEntries(
    [...gateways].flatMap(([name, { defaultSender }]) => defaultSender === undefined ? [] : [[name, defaultSender]]),
  );
}

/** Whether the receiver took it. */
async function post(deps: Deps, address: string, text: string): Promise<boolean> {
  try {
    const response = await deps.fetch(address, {
      method: "POST",
      headers: { "content-type": "application/json" },
      // a blob, because Deno may repeat a text body by itself
      body: new Blob([JSON.stringify({ text })]),
      // an address that an answer names is not one that the operator configured
      redirect: "manual",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    // what it says is not read: the status is all that counts
    await response.body?.cancel().catch(() => {});
    if (response.ok) return true;
    deps.log.error("alarms_not_posted", { status: response.status });
  } catch (thrown) {
    deps.log.error("alarms_not_posted", { error_code: classifyFetchError(thrown).code });
  }
  return false;
}
