import assert from "node:assert/strict";
import type { Clock } from "../_shared/clock.ts";
import { EnvironmentError } from "../_shared/environment_error.ts";
import type { Failure } from "../_shared/failure.ts";
import { FakeClock } from "../_shared/fake_clock.ts";
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
}

interface Scene {
  readonly due?: readonly DueRow[];
  /** Attempts past their lease. */
  readonly stale?: readonly string[];
  /** Answers a request to the gateway. */
  readonly gateway?: (url: URL, body: Record<string, unknown>) => Response | Promise<Response>;
  readonly environment?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
  /** Calls of the database that fail, by name. */
  readonly failing?: (name: string) => Failure | undefined;
  readonly stop?: AbortSignal;
  readonly key?: string;
}

const accept = () => Response.json({ success: true, accepted: true });

/** A database of rows that are due or stale, a gateway, and a processor that is posted once. */
function scene(options: Scene) {
  const due = [...options.due ?? []];
  const stale = [...options.stale ?? []];
  const results = new Map<string, Record<string, unknown>>();
  const claims: { readonly limit: number; readonly excluded: string[] }[] = [];
  const slots = new SendSlots();
  let underWay = 0;
  let mostUnderWay = 0;
  const sentTo: string[] = [];
  const claimable = (row: DueRow, excluded: readonly string[]) => !excluded.includes(row.session);

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
      const body = init?.body instanceof Blob ? JSON.parse(await init.body.text()) : {};
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
          const rows = due.filter((row) => claimable(row, given.p_exclude_sessions)).slice(0, given.p_limit);
          for (const row of rows) due.splice(due.indexOf(row), 1);
          return { ok: true, value: rows.map(claimedRow) };
        }
        case "claim_stale_attempts": {
          const ids = stale.splice(0, given.p_limit);
          const rows = ids.map((id) => ({ client_message_id: id, campaign_id: "c", channel: "whatsapp_group" }));
          return { ok: true, value: rows };
        }
        case "record_send_results": {
          for (const result of given.p_results) results.set(result.clientMessageId, result);
          return { ok: true, value: { recorded: given.p_results.length, superseded: 0 } };
        }
        default:
          return { ok: true, value: 0 };
      }
    },
  });

  return {
    results,
    claims,
    sentTo,
    deps,
    left: () => due.length,
    mostUnderWay: () => mostUnderWay,
    outcomes: () => Object.fromEntries([...results].map(([id, result]) => [id, result.outcome])),
    run: async () => {
      const request = new Request("http://f", {
        method: "POST",
        headers: { "x-api-key": options.key ?? "cron" },
      });
      const response = await handle(request, { ...deps, slots });
      return { status: response.status, headers: response.headers, body: await response.json() };
    },
  };
}

function claimedRow(row: DueRow) {
  return {
    client_message_id: row.id,
    recipient_id: row.id,
    campaign_id: "c",
    channel: row.channel ?? "whatsapp_group",
    session_id: row.session,
    recipient: `${row.id}@g.us`,
    content: row.content ?? { type: "text", text: "Hello" },
    variables: row.variables ?? {},
    attempt_number: 1,
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
    const name of ["start_due_campaigns", "recover_stale_recipients", "finalize_campaigns", "fold_campaign_counters"]
  ) {
    assert.ok(it.deps.calls.some((call) => call.name === name), name);
  }
});

Deno.test("processor does little when nothing is due", async () => {
  const it = scene({});
  const { body } = await it.run();
  assert.equal(body.claimed, 0);
  assert.ok(it.deps.calls.length <= 14, `${it.deps.calls.length} calls`);
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
    due: [
      { id: "filled", session: "wa_1", content, variables: { name: "Ana" } },
      { id: "missing", session: "wa_1", content, variables: {} },
    ],
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

Deno.test("processor does not send through a channel that it does not know", async () => {
  const it = scene({ due: [{ id: "x", session: "s", channel: "pigeon" }] });
  await it.run();
  assert.deepEqual(it.sentTo, []);
  assert.equal(it.results.get("x")?.outcome, "deferred");
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

Deno.test("processor sends on while the gateway hangs on questions", async () => {
  const hung = Promise.withResolvers<Response>();
  const it = scene({
    stale: ["lost"],
    due: rows(30),
    gateway: (url) => {
      if (url.pathname === "/message-status") return hung.promise;
      if (it.sentTo.length === 31) hung.resolve(Response.json({ found: false }));
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

Deno.test("processor claims nothing while the gateway is not configured, and names the variable for the log", async () => {
  for (const variable of ["WHATSAPP_VPS_URL", "WHATSAPP_VPS_API_KEY"]) {
    const it = scene({ due: rows(1), environment: { [variable]: "" } });
    await assert.rejects(it.run(), (error) => error instanceof EnvironmentError && error.variable === variable);
    const names = it.deps.calls.map((call) => call.name);
    assert.deepEqual(names, ["start_due_campaigns", "finalize_campaigns", "fold_campaign_counters"]);
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

Deno.test("processor writes no message, no key and no whole group id to its log", async () => {
  const due = [{ id: "120363040000000001", session: "wa_1", content: { text: "very private" } }];
  const it = scene({
    due,
    gateway: () => Response.json({ error: "very private: 120363040000000001" }, { status: 400 }),
  });
  await it.run();
  const log = it.deps.lines.join("\n");
  assert.ok(log.includes("not_sent"));
  for (const secret of ["very private", "120363040000000001", "vps", "cron"]) assert.ok(!log.includes(secret), secret);
});
