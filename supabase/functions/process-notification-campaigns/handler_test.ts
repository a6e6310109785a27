import assert from "node:assert/strict";
import type { Clock } from "../_shared/clock.ts";
import { EnvironmentError } from "../_shared/environment_error.ts";
import type { Failure } from "../_shared/failure.ts";
import { FakeClock, ImpatientClock } from "../_shared/fake_clock.ts";
import { fakeDeps } from "../_shared/fake_deps.ts";
import { handle } from "./handler.ts";
import { SendSlots } from "./send_slots.ts";

/** A row that is due: its id is also the id of its attempt. */
interface DueRow {
  readonly id: string;
  readonly session: string;
  readonly content?: unknown;
  readonly variables?: unknown;
  readonly channel?: string;
  readonly gateway?: string;
  readonly recipient?: string;
  /** Null or undefined: its sender has no pace. */
  readonly sendAfterMs?: number;
}

interface Scene {
  readonly due?: readonly DueRow[];
  /** Attempts past their lease. */
  readonly stale?: readonly string[];
  /** The gateway of those. */
  readonly staleOf?: string;
  /** Ids of sent SMS that nobody has reported on. */
  readonly silent?: readonly string[];
  /** Ids of messages that a session of the VPS has sent to contacts, and nobody has reported on. */
  readonly silentOfVps?: readonly string[];
  /** Answers a request to the gateway. */
  readonly gateway?: (url: URL, body: Record<string, string>) => Response | Promise<Response>;
  readonly environment?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
  /** Calls of the database that fail, by name. */
  readonly failing?: (name: string) => Failure | undefined;
  readonly stop?: AbortSignal;
  readonly key?: string;
  /** What the database says to how long the next sender must still wait, one after the other; until then nothing is claimed. */
  readonly turns?: readonly (number | null)[];
}

const accept = () => Response.json({ success: true, accepted: true });

const cloudApi = { WHATSAPP_CLOUD_API_URL: "http://meta.test", WHATSAPP_ACCESS_TOKEN: "meta" };
const twilio = { TWILIO_API_URL: "http://twilio.test", TWILIO_ACCOUNT_SID: "AC1", TWILIO_AUTH_TOKEN: "twilio" };

/** A database of rows that are due or stale, a gateway, and a processor that is posted once. */
function scene(options: Scene) {
  const due = [...options.due ?? []];
  const stale = [...options.stale ?? []];
  const silent = [...options.silent ?? []];
  const silentOfVps = [...options.silentOfVps ?? []];
  const turns = [...options.turns ?? []];
  const receipts: Record<string, unknown>[] = [];
  const results = new Map<string, Record<string, unknown>>();
  const claims: { readonly limit: number; readonly excluded: string[] }[] = [];
  const slots = new SendSlots();
  let underWay = 0;
  let mostUnderWay = 0;
  const sentTo: string[] = [];
  const claimable = (row: DueRow, excluded: readonly string[], gateways: readonly string[]) =>
    !excluded.includes(row.session) && gateways.includes(row.gateway ?? "vps");

  const deps = fakeDeps({
    environment: {
      CRON_SECRET_KEY: "cron",
      WHATSAPP_VPS_URL: "http://gateway.test",
      WHATSAPP_VPS_API_KEY: "vps",
      ...options.environment,
    },
    ...(options.clock === undefined ? {} : { clock: options.clock }),
    ...(options.stop === undefined ? {} : { shutdown: options.stop }),
    fetch: async (input, init) => {
      const url = new URL(String(input));
      const body = init?.body instanceof Blob ? read(await init.body.text()) : {};
      sentTo.push(`${url.pathname}${url.search}${body.clientMessageId ?? ""}`);
      mostUnderWay = Math.max(mostUnderWay, ++underWay);
      try {
        return await (options.gateway ?? accept)(url, body);
      } finally {
        underWay--;
      }
    },
    rpc: (name, args) => {
      const failure = options.failing?.(name);
      if (failure !== undefined) return { ok: false, failure };
      const given = JSON.parse(JSON.stringify(args ?? {}));
      switch (name) {
        case "claim_recipients": {
          claims.push({ limit: given.p_limit, excluded: given.p_exclude_sessions });
          if (turns.length > 0) return { ok: true, value: [] };
          const rows = due.filter((row) => claimable(row, given.p_exclude_sessions, given.p_gateways)).slice(
            0,
            given.p_limit,
          );
          for (const row of rows) due.splice(due.indexOf(row), 1);
          return { ok: true, value: rows.map(claimedRow) };
        }
        case "claim_stale_attempts": {
          const ids = stale.splice(0, given.p_limit);
          const gateway = options.staleOf ?? "vps";
          const rows = ids.map((id) => ({
            client_message_id: id,
            campaign_id: "c",
            channel: "whatsapp_group",
            gateway,
            session_id: null,
            recipient: "120363040000000001@g.us",
          }));
          return { ok: true, value: rows };
        }
        case "claim_silent_messages": {
          const rowsOf = (ids: readonly string[], gateway: string, session_id: string) =>
            ids.map((id) => ({
              client_message_id: `attempt-${id}`,
              message_id: id,
              campaign_id: "c",
              gateway,
              session_id,
            }));
          const take = (ids: string[], gateway: string) =>
            given.p_gateways.includes(gateway) ? ids.splice(0, given.p_limit) : [];
          const rows = [
            ...rowsOf(take(silent, "sms"), "sms", "+14155550123"),
            ...rowsOf(take(silentOfVps, "vps"), "vps", "wa_1"),
          ];
          return { ok: true, value: rows };
        }
        case "record_receipts": {
          const readers = new Set(given.p_receipts.map((receipt: { reader: string }) => receipt.reader));
          assert.deepEqual([...readers], [given.p_source === "sms_delivery" ? "sms" : "recipient"]);
          receipts.push(...given.p_receipts);
          return { ok: true, value: { recorded: given.p_receipts.length, duplicates: 0, parked: 0, journaled: 0 } };
        }
        case "sweep_webhook_events":
          return { ok: true, value: { expired: 0, deleted: 0 } };
        case "check_alarms":
          return { ok: true, value: [] };
        case "record_send_results": {
          for (const result of given.p_results) {
            results.set(result.clientMessageId, result);
          }
          return { ok: true, value: { recorded: given.p_results.length, superseded: 0 } };
        }
        case "milliseconds_until_next_send":
          return { ok: true, value: turns.shift() ?? null };
        default:
          return { ok: true, value: 0 };
      }
    },
  });

  return {
    results,
    receipts,
    claims,
    sentTo,
    deps,
    left: () => due.length,
    mostUnderWay: () => mostUnderWay,
    outcomes: () => Object.fromEntries([...results].map(([id, result]) => [id, result.outcome])),
    run: async () => {
      const request = new Request("http://f", { method: "POST", headers: { "x-api-key": options.key ?? "cron" } });
      const response = await handle(request, { ...deps, slots });
      return { status: response.status, headers: response.headers, body: await response.json() };
    },
  };
}

/** The body of a request, whichever way it is written. */
function read(body: string) {
  return body.startsWith("{") ? JSON.parse(body) : Object.fromEntries(new URLSearchParams(body));
}

function claimedRow(row: DueRow) {
  return {
    client_message_id: row.id,
    recipient_id: row.id,
    campaign_id: "c",
    channel: row.channel ?? "whatsapp_group",
    gateway: row.gateway ?? "vps",
    session_id: row.session,
    recipient: row.recipient ?? `${row.id}@g.us`,
    content: row.content ?? { type: "text", text: "Hello" },
    variables: row.variables ?? {},
    attempt_number: 1,
    send_after_ms: row.sendAfterMs ?? null,
  };
}

const rows = (count: number, session = "wa_1"): DueRow[] =>
  Array.from({ length: count }, (_, i) => ({ id: `${session}-${i}`, session }));

Deno.test("processor sends everything that is due, once, and records what came of it", async () => {
  const it = scene({ due: rows(200) });
  const { status, body } = await it.run();
  assert.equal(status, 200);
  assert.equal(body.ok, true);
  assert.equal(body.claimed, 200);
  assert.equal(body.accepted, 200);
  assert.equal(new Set(it.sentTo).size, 200);
  assert.equal(it.sentTo.length, 200);
  assert.equal(it.results.size, 200);
  const batches = it.deps.calls.filter((call) => call.name === "record_send_results").length;
  assert.ok(batches <= 20, `${batches} batches`);
  for (
    const name of [
      "start_due_campaigns",
      "recover_stale_recipients",
      "finalize_campaigns",
      "fold_campaign_counters",
      "sweep_webhook_events",
    ]
  ) {
    assert.ok(it.deps.calls.some((call) => call.name === name), name);
  }
});

Deno.test("processor does little when nothing is due", async () => {
  const it = scene({});
  const { body } = await it.run();
  assert.equal(body.claimed, 0);
  assert.ok(it.deps.calls.length <= 15, `${it.deps.calls.length} calls`);
});

Deno.test("processor records each answer of the gateway for what it proves", async () => {
  const answers: Record<string, () => Response | Promise<Response>> = {
    accepted: accept,
    sent: () => Response.json({ success: true, messageId: "m" }),
    failed: () => Response.json({ success: false, error: "not in group" }, { status: 400 }),
    deferred: () => new Response(null, { status: 429, headers: { "retry-after": "9" } }),
    unknown: () => Promise.reject(new DOMException("late", "TimeoutError")),
  };
  const due = Object.keys(answers).map((id) => ({ id, session: "wa_1" }));
  const it = scene({ due, gateway: (_url, body) => answers[String(body.clientMessageId)]?.() ?? Response.error() });
  const { body } = await it.run();
  for (const outcome of Object.keys(answers)) {
    assert.equal(it.results.get(outcome)?.outcome, outcome);
    assert.equal(body[outcome], 1);
  }
  assert.equal(it.results.get("sent")?.messageId, "m");
  assert.equal(it.results.get("failed")?.errorMessage, "not in group");
  assert.equal(it.results.get("deferred")?.retryAfterSeconds, 9);
});

Deno.test("processor fills in variables, and sends nothing where one is missing", async () => {
  const content = { type: "text", text: "Hi {{name}}" };
  const sent: unknown[] = [];
  const it = scene({
    due: [{ id: "filled", session: "wa_1", content, variables: { name: "Ana" } }, {
      id: "missing",
      session: "wa_1",
      content,
      variables: {},
    }],
    gateway: (_url, body) => {
      sent.push(body.message);
      return accept();
    },
  });
  await it.run();
  assert.deepEqual(sent, [{ type: "text", text: "Hi Ana" }]);
  assert.equal(it.results.get("missing")?.errorCode, "missing_variable");
  assert.equal(it.results.get("missing")?.outcome, "failed");
});

Deno.test("processor sends each message through its gateway", async () => {
  const it = scene({
    environment: { ...cloudApi, ...twilio },
    due: [
      { id: "group", session: "wa_1" },
      { id: "through-vps", session: "wa_1", channel: "whatsapp", recipient: "91 98765 43210" },
      { id: "through-meta", session: "1065", channel: "whatsapp", gateway: "cloud-api", recipient: "00919876543210" },
      { id: "text", session: "+14155550123", channel: "sms", gateway: "sms", recipient: "919876543210@s.whatsapp.net" },
    ],
    gateway: (url, body) => {
      if (url.host === "meta.test") {
        return Response.json({ messages: [{ id: `wamid.${body.to}` }] });
      }
      if (url.host === "twilio.test") {
        return Response.json({ sid: `SM${body.To}` }, { status: 201 });
      }
      return Response.json({ success: true, messageId: `vps.${body.groupJid}` });
    },
  });
  const { body } = await it.run();
  const ids = Object.fromEntries([...it.results].map(([id, result]) => [id, result.messageId]));
  assert.deepEqual(ids, {
    "group": "vps.group@g.us",
    "through-vps": "vps.919876543210@s.whatsapp.net",
    "through-meta": "wamid.+919876543210",
    "text": "SM+919876543210",
  });
  assert.equal(body.sent, 4);
  assert.deepEqual(body.gateways, { vps: "ready", "cloud-api": "ready", sms: "ready" });
});

Deno.test("processor has the delivery of a message asked for later where its gateway can be asked", async () => {
  const sent: Scene = {
    environment: { ...cloudApi, ...twilio },
    due: [{ id: "meta", session: "1065", channel: "whatsapp", gateway: "cloud-api", recipient: "+919876543210" }, {
      id: "sms",
      session: "+14155550123",
      channel: "sms",
      gateway: "sms",
      recipient: "+919876543210",
    }],
    gateway: (url) => Response.json(url.host === "meta.test" ? { messages: [{ id: "wamid.1" }] } : { sid: "SM1" }),
  };
  const it = scene(sent);
  await it.run();
  assert.equal(it.results.get("sms")?.pollAfterSeconds, 600);
  assert.ok(!("pollAfterSeconds" in (it.results.get("meta") ?? {})));
  const sooner = scene({ ...sent, environment: { ...sent.environment, PROCESS_POLL_SECONDS: "30" } });
  await sooner.run();
  assert.equal(sooner.results.get("sms")?.pollAfterSeconds, 30);
});

Deno.test("processor skips a contact whose number cannot be one, says how to write it, and sends nothing", async () => {
  const it = scene({
    environment: twilio,
    due: [{ id: "whatsapp", session: "wa_1", channel: "whatsapp", recipient: "09876543210" }, {
      id: "sms",
      session: "+14155550123",
      channel: "sms",
      gateway: "sms",
      recipient: "Ana",
      content: {},
    }],
  });
  const { body } = await it.run();
  assert.deepEqual(it.sentTo, []);
  assert.equal(body.skipped, 2);
  assert.equal(body.failed, 0);
  for (const id of ["whatsapp", "sms"]) {
    const result = it.results.get(id);
    assert.equal(result?.outcome, "skipped");
    assert.equal(result?.errorCode, "invalid_phone_number");
    assert.match(String(result?.errorMessage), /country code, such as \+\d+/);
  }
});

Deno.test("processor claims for the gateways that are ready, and says why others are not", async () => {
  const it = scene({
    environment: { WHATSAPP_CLOUD_API_URL: "http://meta.test" },
    due: [{ id: "group", session: "wa_1" }, {
      id: "contact",
      session: "1065",
      channel: "whatsapp",
      gateway: "cloud-api",
      recipient: "+919876543210",
    }],
  });
  const { status, body } = await it.run();
  assert.equal(status, 200);
  assert.deepEqual(it.outcomes(), { group: "accepted" });
  assert.equal(it.left(), 1);
  assert.equal(body.gateways.vps, "ready");
  assert.match(body.gateways["cloud-api"], /^WHATSAPP_ACCESS_TOKEN is not set/);
  assert.equal(body.gateways.sms, "not configured");
  const faults = it.deps.lines.filter((line) => line.includes("gateway_misconfigured"));
  assert.equal(faults.length, 1);
  assert.ok(faults[0]?.includes("WHATSAPP_ACCESS_TOKEN"));
});

Deno.test("processor names the default senders of the gateways that are ready when it claims", async () => {
  const defaults = { WHATSAPP_PHONE_NUMBER_ID: "1065", TWILIO_FROM: "+14155550123" };
  const claimOf = async (environment: Record<string, string>) => {
    const it = scene({ environment });
    await it.run();
    const claim = it.deps.calls.find((call) => call.name === "claim_recipients");
    return JSON.parse(JSON.stringify(claim?.args));
  };
  const all = await claimOf({ ...cloudApi, ...twilio, ...defaults });
  assert.deepEqual(all.p_gateways, ["vps", "cloud-api", "sms"]);
  assert.deepEqual(all.p_default_senders, { "cloud-api": "1065", "sms": "+14155550123" });
  const one = await claimOf({ ...twilio, ...defaults });
  assert.deepEqual(one.p_gateways, ["vps", "sms"]);
  assert.deepEqual(one.p_default_senders, { "sms": "+14155550123" });
  assert.deepEqual((await claimOf({})).p_default_senders, {});
});

Deno.test("processor does not send through a gateway that it does not have, or without a sender", async () => {
  const odd = { id: "odd", session: "s", gateway: "pigeon" };
  const it = scene({ due: [{ id: "x", session: "s" }] });
  const rpc: typeof it.deps.rpc = async (name, args) => {
    const answer = await it.deps.rpc(name, args);
    if (name !== "claim_recipients" || it.claims.length > 1) return answer;
    return { ok: true, value: [claimedRow(odd), { ...claimedRow({ id: "none", session: "" }), session_id: null }] };
  };
  const request = new Request("http://f", { method: "POST", headers: { "x-api-key": "cron" } });
  const response = await handle(request, { ...it.deps, rpc, slots: new SendSlots() });
  await response.body?.cancel();
  assert.deepEqual(it.sentTo, []);
  assert.equal(it.results.get("odd")?.errorCode, "unsupported_gateway");
  assert.equal(it.results.get("none")?.errorCode, "no_session");
  assert.deepEqual(it.outcomes(), { odd: "deferred", none: "deferred" });
});

Deno.test("processor keeps within its bounds, in all and for each session", async () => {
  const sessions = ["a", "b", "c", "d", "e"];
  const due = sessions.flatMap((session) => rows(40, session));
  const now = new Map<string, number>();
  let mostOfOne = 0;
  const it = scene({
    due,
    environment: { PROCESS_CONCURRENCY: "12", PROCESS_SESSION_CONCURRENCY: "4" },
    gateway: async (_url, body) => {
      const session = String(body.sessionId);
      now.set(session, (now.get(session) ?? 0) + 1);
      mostOfOne = Math.max(mostOfOne, now.get(session) ?? 0);
      await new Promise((resolve) => setTimeout(resolve, 1));
      now.set(session, (now.get(session) ?? 1) - 1);
      return accept();
    },
  });
  await it.run();
  assert.equal(it.results.size, 200);
  assert.ok(it.mostUnderWay() <= 12, `${it.mostUnderWay()} in all`);
  assert.ok(mostOfOne <= 4, `${mostOfOne} of one session`);
  assert.ok(it.mostUnderWay() > 4, "nothing was concurrent");
});

Deno.test("processor shares its bounds with a run beside it, and neither sends what the other does", async () => {
  const it = scene({
    due: [...rows(60, "a"), ...rows(60, "b")],
    environment: { PROCESS_CONCURRENCY: "6", PROCESS_SESSION_CONCURRENCY: "4" },
    gateway: async () => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      return accept();
    },
  });
  const answers = await Promise.all([it.run(), it.run(), it.run()]);
  assert.deepEqual(answers.map((answer) => answer.status), [200, 200, 200]);
  assert.equal(answers.reduce((sum, answer) => sum + answer.body.claimed, 0), 120);
  assert.equal(it.sentTo.length, 120);
  assert.equal(new Set(it.sentTo).size, 120);
  assert.equal(it.results.size, 120);
  assert.ok(it.mostUnderWay() <= 6, `${it.mostUnderWay()} under way`);
});

Deno.test("processor sends the others' messages while one session hangs, and takes no more rows of it", async () => {
  const hung = Promise.withResolvers<Response>();
  const it = scene({
    due: [...rows(50, "hung"), ...rows(100, "well")],
    environment: { PROCESS_CONCURRENCY: "16", PROCESS_SESSION_CONCURRENCY: "4", PROCESS_SEND_TIMEOUT_MS: "60000" },
    gateway: (_url, body) => {
      if (body.sessionId === "hung") return hung.promise;
      // let go once the well session is through, which it can only be if nobody waits for the hung one
      if (it.sentTo.filter((sent) => sent.startsWith("/sendwell")).length === 100) hung.resolve(accept());
      return accept();
    },
  });
  const before = new Promise<number>((resolve) => hung.promise.then(() => resolve(it.left())));
  await it.run();
  assert.ok(await before >= 46, "rows of the hung session were claimed to wait");
  assert.equal(it.results.size, 150);
  assert.ok(it.claims.some((claim) => claim.excluded.includes("hung")));
});

Deno.test("processor stops claiming when its time is spent, and still records what was under way", async () => {
  const clock = new FakeClock();
  const it = scene({
    due: rows(1_000),
    clock,
    environment: { PROCESS_TIME_BUDGET_MS: "1000" },
    gateway: () => {
      clock.advance(20);
      return accept();
    },
  });
  const { status, body } = await it.run();
  assert.equal(status, 200);
  assert.ok(body.claimed >= 50 && body.claimed <= 58, `claimed ${body.claimed}`);
  assert.equal(it.results.size, body.claimed);
  assert.equal(it.left(), 1_000 - body.claimed);
});

Deno.test("processor stops claiming when the isolate is about to be retired", async () => {
  const stop = new AbortController();
  const it = scene({
    due: rows(100),
    stop: stop.signal,
    gateway: () => {
      stop.abort();
      return accept();
    },
  });
  const { body } = await it.run();
  assert.ok(body.claimed <= 8);
  assert.equal(it.results.size, body.claimed);
});

Deno.test("processor asks the gateway about stale attempts and records its answers", async () => {
  const answers: Record<string, () => Response | Promise<Response>> = {
    sent: () => Response.json({ found: true, status: "sent", messageId: "m" }),
    failed: () => Response.json({ found: true, status: "failed", error: "gone" }),
    accepted: () => Response.json({ found: true, status: "queued" }),
    not_found: () => Response.json({ found: false }),
    away: () => Promise.reject(new TypeError("fetch failed")),
    broken: () => new Response(null, { status: 502 }),
  };
  const it = scene({
    stale: Object.keys(answers),
    gateway: (url) => answers[url.searchParams.get("clientMessageId") ?? ""]?.() ?? Response.error(),
  });
  const { body } = await it.run();
  const outcomes = { sent: "sent", failed: "failed", accepted: "accepted", not_found: "not_found" };
  assert.deepEqual(it.outcomes(), outcomes);
  assert.equal(body.looked_up, 6);
  assert.equal(body.not_found, 1);
  assert.equal(body.unanswered, 2);
});

Deno.test("processor asks about one batch and no more when nobody answers", async () => {
  const stale = Array.from({ length: 500 }, (_, i) => `id-${i}`);
  const it = scene({ stale, gateway: () => Promise.reject(new TypeError("fetch failed")) });
  const { status, body } = await it.run();
  assert.equal(status, 200);
  assert.equal(body.looked_up, 32);
  assert.equal(body.unanswered, 32);
  assert.deepEqual(it.outcomes(), {});
});

Deno.test("processor settles stale attempts at gateways that cannot be asked without asking them", async () => {
  const it = scene({ stale: ["a", "b"], staleOf: "sms", environment: twilio });
  const { body } = await it.run();
  assert.deepEqual(it.sentTo, []);
  assert.deepEqual(it.results.get("a"), { clientMessageId: "a", outcome: "not_found", asked: false });
  assert.equal(body.not_found, 2);
});

Deno.test("processor leaves stale attempts of a gateway that is not ready unanswered", async () => {
  const it = scene({ stale: ["a"], staleOf: "sms" });
  const { body } = await it.run();
  assert.equal(body.unanswered, 1);
  assert.deepEqual(it.outcomes(), {});
});

Deno.test("processor asks about messages that nobody reported on, and records what is said", async () => {
  const states: Record<string, unknown> = {
    SM1: { status: "delivered", price: "-0.0075", price_unit: "USD" },
    SM2: { status: "undelivered", error_code: 30003, error_message: "unreachable" },
    SM3: { status: "sending" },
  };
  const it = scene({
    silent: ["SM1", "SM2", "SM3"],
    environment: twilio,
    gateway: (url) => Response.json(states[url.pathname.split("/").at(-1)?.replace(".json", "") ?? ""]),
  });
  const { body } = await it.run();
  assert.equal(body.polled, 3);
  // no sender: that it had to be asked for does not mean that its webhooks are heard
  const common = { reader: "sms" };
  assert.deepEqual(it.receipts, [{
    ...common,
    event: "message_delivered",
    messageId: "SM1",
    clientMessageId: "attempt-SM1",
    cost: 0.0075,
    currency: "USD",
  }, {
    ...common,
    event: "message_failed",
    messageId: "SM2",
    clientMessageId: "attempt-SM2",
    errorCode: "30003",
    errorMessage: "unreachable",
  }]);
});

Deno.test("processor asks about silent messages in bounded batches, and no more once a batch brought nothing", async () => {
  const silent = Array.from({ length: 100 }, (_, i) => `SM${i}`);
  const answering = scene({ silent, environment: twilio, gateway: () => Response.json({ status: "delivered" }) });
  assert.equal((await answering.run()).body.polled, 100);
  assert.equal(answering.receipts.length, 100);
  assert.ok(answering.mostUnderWay() <= 32, `${answering.mostUnderWay()} at once`);

  const away = scene({ silent, environment: twilio, gateway: () => Promise.reject(new TypeError("fetch failed")) });
  const { status, body } = await away.run();
  assert.equal(status, 200);
  assert.equal(body.polled, 32);
  assert.deepEqual(away.receipts, []);
});

Deno.test("processor asks each provider about its own silent messages, and records what each says in its place", async () => {
  const it = scene({
    silent: ["SM1"],
    silentOfVps: ["V1", "V2"],
    environment: twilio,
    gateway: (url) => {
      if (url.host === "twilio.test") return Response.json({ status: "delivered" });
      const isRead = url.searchParams.get("clientMessageId") === "attempt-V1";
      return Response.json({ found: true, status: isRead ? "read" : "sent", messageId: "V" });
    },
  });
  const { body } = await it.run();
  assert.equal(body.polled, 3);
  assert.deepEqual(
    it.receipts.map(({ event, messageId, reader, sessionId }) => [event, messageId, reader, sessionId ?? null]),
    [
      ["message_delivered", "SM1", "sms", null],
      ["message_read", "V1", "recipient", null],
    ],
  );
});

Deno.test("processor has messages of a session to contacts asked for later, also those only accepted, and none to groups", async () => {
  const contact = { session: "wa_1", channel: "whatsapp", gateway: "vps" };
  const it = scene({
    due: [
      { id: "accepted", ...contact, recipient: "+919876543210" },
      { id: "sent", ...contact, recipient: "+919876543211" },
      { id: "group", session: "wa_1" },
    ],
    gateway: (_url, { clientMessageId }) =>
      clientMessageId === "accepted" ? accept() : Response.json({ success: true, messageId: "V1" }),
  });
  await it.run();
  const pollAfter = (id: string) => it.results.get(id)?.pollAfterSeconds;
  assert.deepEqual([pollAfter("accepted"), pollAfter("sent"), pollAfter("group")], [600, 600, undefined]);
});

Deno.test("processor asks nobody about silent messages while no gateway is ready that could say", async () => {
  const it = scene({ silent: ["SM1"], environment: { ...cloudApi, WHATSAPP_VPS_URL: "", WHATSAPP_VPS_API_KEY: "" } });
  assert.equal((await it.run()).body.polled, 0);
  assert.ok(it.deps.calls.every((call) => call.name !== "claim_silent_messages"));
});

Deno.test("processor sends on when what a provider said cannot be recorded, and answers that failure", async () => {
  for (const [code, expected] of [["database_unavailable", 503], ["internal", 500]] as const) {
    const it = scene({
      silent: Array.from({ length: 100 }, (_, i) => `SM${i}`),
      due: rows(100),
      environment: twilio,
      gateway: (url) => url.host === "twilio.test" ? Response.json({ status: "delivered" }) : accept(),
      failing: (name) => name === "record_receipts" ? { code } : undefined,
    });
    assert.equal((await it.run()).status, expected);
    assert.equal(it.results.size, 100);
    assert.equal(it.deps.calls.filter((call) => call.name === "record_receipts").length, 1);
    assert.ok(it.deps.calls.some((call) => call.name === "sweep_webhook_events"));
  }
});

Deno.test("processor answers 503 when the last of its housekeeping fails, with everything else done", async () => {
  for (const failing of ["fold_campaign_counters", "sweep_webhook_events"]) {
    const it = scene({
      due: rows(10),
      failing: (name) => name === failing ? { code: "database_unavailable" } : undefined,
    });
    assert.equal((await it.run()).status, 503, failing);
    assert.equal(it.results.size, 10);
  }
});

Deno.test("processor sends on while a provider hangs on questions about silent messages", async () => {
  const hung = Promise.withResolvers<Response>();
  const it = scene({
    silent: ["SM1"],
    due: rows(30),
    environment: twilio,
    gateway: (url) => {
      if (url.host === "twilio.test") return hung.promise;
      if (it.sentTo.length === 31) {
        hung.resolve(Response.json({ status: "delivered" }));
      }
      return accept();
    },
  });
  const { body } = await it.run();
  assert.equal(it.results.size, 30);
  assert.equal(body.polled, 1);
});

Deno.test("processor sends on while the gateway hangs on questions", async () => {
  const hung = Promise.withResolvers<Response>();
  const it = scene({
    stale: ["lost"],
    due: rows(30),
    gateway: (url) => {
      if (url.pathname === "/message-status") return hung.promise;
      if (it.sentTo.length === 31) {
        hung.resolve(Response.json({ found: false }));
      }
      return accept();
    },
  });
  await it.run();
  assert.equal(it.results.size, 31);
});

Deno.test("processor gives claims and renewals the lease that is set", async () => {
  const it = scene({ due: rows(1), environment: { PROCESS_LEASE_SECONDS: "7" } });
  await it.run();
  const claim = it.deps.calls.find((call) => call.name === "claim_recipients");
  assert.equal(JSON.parse(JSON.stringify(claim?.args)).p_lease, "7 seconds");
  assert.equal(it.results.get("wa_1-0")?.leaseSeconds, 7);
});

Deno.test("processor leaves rows alone that it got too late to send within their lease", async () => {
  const clock = new FakeClock();
  const it = scene({
    due: rows(3),
    clock,
    environment: { PROCESS_LEASE_SECONDS: "2" },
    failing: (name) => {
      if (name === "claim_recipients") clock.advance(1_500);
      return undefined;
    },
  });
  const { body } = await it.run();
  assert.equal(body.late, 3);
  assert.deepEqual(it.sentTo, []);
});

Deno.test("processor answers 503 when the database goes away, and still records what was under way", async () => {
  let claims = 0;
  const away: Failure = { code: "database_unavailable", headers: { "retry-after": "5" } };
  const it = scene({
    due: rows(100),
    failing: (name) => name === "claim_recipients" && ++claims > 2 ? away : undefined,
  });
  const { status, headers, body } = await it.run();
  assert.equal(status, 503);
  assert.equal(headers.get("retry-after"), "5");
  assert.equal(body.error.code, "database_unavailable");
  assert.ok(it.results.size > 0);
  assert.equal(it.results.size, it.sentTo.length);
});

Deno.test("processor checks alarms at the end of each run, also of one that failed, and says what it could send through", async () => {
  for (const failing of [undefined, "claim_recipients", "check_alarms"]) {
    const it = scene({
      failing: (name) => name === failing ? { code: "database_unavailable" } : undefined,
    });
    const { status } = await it.run();
    assert.equal(status, failing === "claim_recipients" ? 503 : 200, failing);
    const last = it.deps.calls.at(-1);
    assert.equal(last?.name, "check_alarms");
    assert.match(JSON.stringify(last?.args), /"p_gateways":\["vps"\]/);
  }
});

Deno.test("processor claims nothing while no gateway is ready, and names the variable for the log", async () => {
  for (const variable of ["WHATSAPP_VPS_URL", "WHATSAPP_VPS_API_KEY", "PROCESS_POLL_SECONDS"]) {
    const value = variable === "PROCESS_POLL_SECONDS" ? "soon" : "";
    const it = scene({ due: rows(1), environment: { [variable]: value } });
    await assert.rejects(it.run(), (error) => error instanceof EnvironmentError && error.variable === variable);
    const names = it.deps.calls.map((call) => call.name);
    assert.deepEqual(names, ["start_due_campaigns", "finalize_campaigns", "fold_campaign_counters", "check_alarms"]);
  }
});

Deno.test("processor refuses a wrong key 401 and another method 405, and touches nothing", async () => {
  const it = scene({ due: rows(1), key: "wrong" });
  assert.equal((await it.run()).status, 401);
  const get = await handle(new Request("http://f"), { ...it.deps, slots: new SendSlots() });
  assert.equal(get.status, 405);
  assert.equal(get.headers.get("allow"), "POST");
  await get.body?.cancel();
  assert.deepEqual(it.deps.calls, []);
});

Deno.test("processor writes no message, no key and no whole number or id to its log", async () => {
  const id = "120363040000000001";
  const content = { text: "very private" };
  const it = scene({
    environment: { ...cloudApi, ...twilio },
    due: [
      { id, session: "wa_1", content },
      { id: "meta", session: "1065", channel: "whatsapp", gateway: "cloud-api", recipient: "+919876543210", content },
      { id: "sms", session: "+14155550123", channel: "sms", gateway: "sms", recipient: "+919876543210", content },
      { id: "skip", session: "wa_1", channel: "whatsapp", recipient: "09876543210", content },
    ],
    gateway: () => Response.json({ error: `very private: ${id}, +919876543210` }, { status: 400 }),
  });
  await it.run();
  const log = it.deps.lines.join("\n");
  assert.equal(it.deps.lines.filter((line) => line.includes("not_sent")).length, 4);
  for (const secret of ["very private", id, "9876543210", "14155550123", "vps", "cron", "twilio", "Bearer", "Basic"]) {
    assert.ok(!log.includes(secret), secret);
  }
});

// ---- pacing ----

Deno.test("processor sends a paced message when its turn has come, and not before", async () => {
  const clock = new ImpatientClock();
  const due = [0, 400, 900].map((sendAfterMs, i) => ({ id: `m${i}`, session: "wa_1", sendAfterMs }));
  const sentAt: number[] = [];
  const it = scene({
    due,
    clock,
    gateway: () => {
      sentAt.push(clock.now());
      return accept();
    },
  });
  const { body } = await it.run();
  assert.deepEqual([body.accepted, body.late], [3, 0]);
  assert.ok(sentAt.every((at, i) => at >= (due[i]?.sendAfterMs ?? 0)), sentAt.join(", "));
  const claim = it.deps.calls.find((call) => call.name === "claim_recipients");
  assert.match(JSON.stringify(claim?.args), /"p_pace_ahead":"1000 milliseconds"/);
});

Deno.test("processor leaves a paced message to its lease when it has fallen behind its turn", async () => {
  const clock = new FakeClock();
  const it = scene({ due: [{ id: "m1", session: "wa_1", sendAfterMs: 0 }, { id: "m2", session: "wa_1" }], clock });
  const { rpc } = it.deps;
  const request = new Request("http://f", { method: "POST", headers: { "x-api-key": "cron" } });
  const response = await handle(request, {
    ...it.deps,
    slots: new SendSlots(),
    rpc: (name, args) => {
      // the answer to the claim takes its time
      if (name === "claim_recipients") clock.advance(2_600);
      return rpc(name, args);
    },
  });
  const body = await response.json();
  assert.deepEqual([body.late, body.accepted], [1, 1]);
  assert.deepEqual(it.sentTo, ["/sendm2"]);
});

Deno.test("processor waits for a sender whose turn comes soon, and goes on", async () => {
  const clock = new ImpatientClock();
  const it = scene({ due: rows(2), clock, turns: [700, 9_000] });
  const { body } = await it.run();
  assert.equal(body.accepted, 2);
  assert.ok(clock.waits.includes(700) && clock.waits.includes(9_000), clock.waits.join(", "));
});

Deno.test("processor leaves a sender whose turn comes late to the next run", async () => {
  const clock = new ImpatientClock();
  const it = scene({ due: rows(2), clock, turns: [10_001] });
  const { body } = await it.run();
  assert.equal(body.accepted, 0);
  assert.equal(it.left(), 2);
});
