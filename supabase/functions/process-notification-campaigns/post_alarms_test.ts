import assert from "node:assert/strict";
import { fakeDeps } from "../_shared/fake_deps.ts";
import type { Result } from "../_shared/result.ts";
import type { Gateway } from "./gateways/gateway.ts";
import { postAlarms } from "./post_alarms.ts";

const SECRET = "s3cret-part";
const ALERT_WEBHOOK_URL = `https://hooks.example.com/services/${SECRET}?token=${SECRET}`;

const alarms = [
  { id: 7, kind: "opened", cause: "unconfirmed", subject: "", message: "Some.", opened_at: "2026-11-22T21:00:00Z" },
  { id: 5, kind: "resolved", cause: "stalled", subject: "", message: "It.", opened_at: "2026-11-22T21:00:00Z" },
].map((one) => ({
  ...one,
  details: {},
  resolved_at: one.kind === "resolved" ? "2026-11-22T21:10:00Z" : null,
}));

interface Scene {
  readonly environment?: Readonly<Record<string, string>>;
  readonly answer?: () => Response | Promise<Response>;
  readonly checked?: Result<unknown>;
}

async function scene({ environment = { ALERT_WEBHOOK_URL }, answer, checked }: Scene) {
  const posts: { readonly url: string; readonly init: RequestInit | undefined; readonly body: unknown }[] = [];
  const deps = fakeDeps({
    environment,
    rpc: (name) => name === "check_alarms" ? checked ?? { ok: true, value: alarms } : { ok: true, value: 2 },
    fetch: async (input, init) => {
      const body = init?.body instanceof Blob ? JSON.parse(await init.body.text()) : undefined;
      posts.push({ url: String(input), init, body });
      return await (answer ?? (() => new Response("ok")))();
    },
  });
  const gateways = new Map<string, Gateway>([
    ["vps", { send: never, lookUp: never }],
    ["sms", { defaultSender: "+15005550006", send: never, lookUp: never }],
  ]);
  await postAlarms(deps, gateways);
  assert.ok(!deps.lines.join().includes(SECRET), "the address is in the log");
  return { posts, calls: deps.calls, lines: deps.lines.join("\n"), recorded: deps.calls.at(-1) };
}

function never(): never {
  throw new Error("alarms send no message");
}

Deno.test("alarms are posted together, as Slack takes them, and recorded by their kind", async () => {
  const { posts, calls } = await scene({});
  assert.equal(posts.length, 1);
  const [post] = posts;
  assert.equal(post?.url, ALERT_WEBHOOK_URL);
  assert.equal(post?.init?.redirect, "manual");
  assert.ok(post?.init?.signal instanceof AbortSignal);
  assert.deepEqual(post?.body, {
    text: "ALARM unconfirmed: Some.\nRECOVERED stalled, after 10 min. It was: It.",
  });
  assert.deepEqual(calls, [
    {
      name: "check_alarms",
      args: {
        p_silence: "15 minutes",
        p_gateways: ["vps", "sms"],
        p_default_senders: { sms: "+15005550006" },
        p_limit: 20,
      },
    },
    { name: "record_alarms_posted", args: { p_opened: [7], p_resolved: [5] } },
  ]);
});

Deno.test("alarms are checked and none is handed out while no address is set", async () => {
  const { posts, calls } = await scene({ environment: {}, checked: { ok: true, value: [] } });
  assert.deepEqual(posts, []);
  assert.deepEqual(calls.map(({ name }) => name), ["check_alarms"]);
  assert.match(JSON.stringify(calls[0]?.args), /"p_limit":0/);
});

Deno.test("alarms with an address that cannot be used are a fault in the log, and are checked all the same", async () => {
  for (const url of [`not an address ${SECRET}`, `ftp://${SECRET}`, `https://user:${SECRET}@h/`]) {
    const { posts, calls, lines } = await scene({ environment: { ALERT_WEBHOOK_URL: url } });
    assert.deepEqual(posts, []);
    assert.deepEqual(calls.map(({ name }) => name), ["check_alarms"]);
    assert.match(lines, /alarms_misconfigured.*ALERT_WEBHOOK_URL/);
  }
});

Deno.test("alarms with a silence that is none are checked with the default", async () => {
  const { calls, lines } = await scene({ environment: { ALERT_WEBHOOK_URL, ALERT_SILENT_MINUTES: "0" } });
  assert.match(JSON.stringify(calls[0]?.args), /"15 minutes"/);
  assert.match(lines, /alarms_misconfigured.*ALERT_SILENT_MINUTES/);
  const own = await scene({ environment: { ALERT_WEBHOOK_URL, ALERT_SILENT_MINUTES: "40" } });
  assert.match(JSON.stringify(own.calls[0]?.args), /"40 minutes"/);
});

Deno.test("alarms that the receiver does not take are not recorded, and nothing fails", async () => {
  const answers: Record<string, () => Response | Promise<Response>> = {
    "500": () => new Response(`no ${SECRET}`, { status: 500 }),
    "404": () => new Response(null, { status: 404 }),
    "302": () => new Response(null, { status: 302, headers: { location: "http://elsewhere.test" } }),
    timeout: () => Promise.reject(new DOMException("late", "TimeoutError")),
    connection_refused: () =>
      Promise.reject(
        new TypeError(
          `error sending request for url (${ALERT_WEBHOOK_URL}): client error (Connect): Connection refused`,
        ),
      ),
  };
  for (const [said, answer] of Object.entries(answers)) {
    const { posts, calls, lines } = await scene({ answer });
    assert.equal(posts.length, 1, said);
    assert.deepEqual(calls.map(({ name }) => name), ["check_alarms"], said);
    assert.match(lines, new RegExp(`alarms_not_posted.*${said}`));
  }
});

Deno.test("alarms that cannot be checked are posted by a later run", async () => {
  for (const checked of [{ ok: false, failure: { code: "database_unavailable" } }, { ok: true, value: "?" }] as const) {
    const { posts, calls } = await scene({ checked });
    assert.deepEqual(posts, []);
    assert.equal(calls.length, 1);
  }
});

Deno.test("alarms never fail the run, whatever is thrown", async () => {
  const deps = fakeDeps({
    environment: { ALERT_WEBHOOK_URL },
    rpc: () => {
      throw new Error(`unforeseen ${SECRET}`);
    },
  });
  await postAlarms(deps);
  assert.match(deps.lines.join(), /alarms_failed/);
  assert.ok(!deps.lines.join().includes(SECRET));
});
