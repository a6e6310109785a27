import assert from "node:assert/strict";
import { type FunctionName, keyOf, postFunction, requestFunction } from "../harness/http.ts";
import { connect, createCampaign, groupJid, person, receipt, recipientRow, testStack, unique } from "../harness/mod.ts";

const webhooks = ["whatsapp-send-callback", "whatsapp-read-receipt-webhook"] as const;
const functions: readonly FunctionName[] = [...webhooks, "process-notification-campaigns"];

function json(name: FunctionName, body: string, headers: Record<string, string> = {}): RequestInit {
  return {
    method: "POST",
    headers: { "content-type": "application/json", "x-api-key": keyOf(name), ...headers },
    body,
  };
}

function errorCode(body: unknown): unknown {
  return typeof body === "object" && body !== null && "error" in body && typeof body.error === "object" &&
      body.error !== null && "code" in body.error
    ? body.error.code
    : undefined;
}

for (const name of functions) {
  Deno.test(`${name} answers a bare 401 when the key is missing, wrong, or another function's`, async () => {
    const other = keyOf(
      name === "process-notification-campaigns" ? "whatsapp-send-callback" : "process-notification-campaigns",
    );
    const keys = [
      undefined,
      "",
      "wrong",
      `${keyOf(name)}x`,
      keyOf(name).slice(0, -1),
      keyOf(name).toUpperCase(),
      other,
    ];
    for (const key of keys) {
      const { status, body } = await requestFunction(name, {
        method: "POST",
        headers: { "content-type": "application/json", ...key === undefined ? {} : { "x-api-key": key } },
        body: "{}",
      });
      assert.equal(status, 401, `${key}`);
      assert.deepEqual(body, { error: { code: "unauthorized", message: "Unauthorized." } });
    }
  });

  Deno.test(`${name} refuses a key that is not in its header`, async () => {
    const { status } = await requestFunction(name, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${keyOf(name)}`, apikey: keyOf(name) },
      body: JSON.stringify({ key: keyOf(name) }),
    });
    assert.equal(status, 401);
  });

  Deno.test(`${name} answers 405 and names POST when the method is another`, async () => {
    for (const method of ["PUT", "PATCH", "DELETE"]) {
      const { status, headers, body } = await requestFunction(name, { method, headers: { "x-api-key": keyOf(name) } });
      assert.equal(status, 405, method);
      assert.match(headers.get("allow") ?? "", /POST/);
      assert.equal(errorCode(body), "method_not_allowed");
    }
  });
}

for (const name of webhooks) {
  Deno.test(`${name} answers 415 when the body is no JSON by its type`, async () => {
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]) {
      const { status, body } = await requestFunction(name, json(name, "{}", { "content-type": type }));
      assert.equal(status, 415, type);
      assert.equal(errorCode(body), "unsupported_media_type");
    }
    assert.equal((await requestFunction(name, json(name, "{}", { "content-encoding": "gzip" }))).status, 415);
  });

  Deno.test(`${name} takes JSON with a charset`, async () => {
    const { status } = await requestFunction(
      name,
      json(name, "[]", { "content-type": "Application/JSON; charset=UTF-8" }),
    );
    assert.equal(status, 200);
  });

  Deno.test(`${name} answers 413 when the body is above 4 MB, declared or streamed`, async () => {
    const large = `["${"x".repeat(4 * 1024 * 1024)}"]`;
    const { status, body } = await requestFunction(name, json(name, large));
    assert.equal(status, 413);
    assert.equal(errorCode(body), "payload_too_large");
    const streamed = await requestFunction(name, {
      ...json(name, ""),
      body: new Blob([large]).stream(),
    });
    assert.equal(streamed.status, 413);
  });

  Deno.test(`${name} answers 400 when the body is not valid JSON`, async () => {
    for (const text of ["", "{", "{'event': 1}", "undefined", "[1,]"]) {
      const { status, body } = await requestFunction(name, json(name, text));
      assert.equal(status, 400, text);
      assert.equal(errorCode(body), "malformed_json");
    }
  });

  Deno.test(`${name} answers 400 naming the field when the event is malformed`, async () => {
    const known = name === "whatsapp-send-callback" ? "message_sent" : "message_delivered";
    const named = name === "whatsapp-send-callback" ? /clientMessageId|messageId|groupJid/ : /messageId/;
    const events: [unknown, RegExp][] = [
      [{}, /event/],
      [{ event: 7 }, /event/],
      ["x", /event/],
      [null, /event/],
      [{ event: known }, named],
      [{ event: known, messageId: 7 }, /messageId/],
      [{ event: known, messageId: "x".repeat(5000) }, /messageId/],
    ];
    for (const [event, field] of events) {
      const { status, body } = await postFunction(name, event);
      assert.equal(status, 400, JSON.stringify(event).slice(0, 80));
      assert.equal(errorCode(body), "malformed_event");
      assert.match(JSON.stringify(body), field);
    }
  });

  Deno.test(`${name} answers 200 to an unknown event and journals it`, async () => {
    const { status, body } = await postFunction(name, { event: "group_renamed", id: unique("event") });
    assert.equal(status, 200);
    assert.ok(typeof body === "object" && body !== null && "journaled" in body);
    assert.deepEqual({ ...body, ok: true, journaled: 1 }, body);
  });

  Deno.test(`${name} answers 200 to an empty array`, async () => {
    assert.equal((await postFunction(name, [])).status, 200);
  });

  Deno.test(`${name} answers 200 to an array and journals its malformed elements`, async () => {
    const { status, body } = await postFunction(name, [7, null, { event: "" }, {
      event: "other",
      id: unique("event"),
    }]);
    assert.equal(status, 200);
    assert.ok(
      typeof body === "object" && body !== null && "journaled" in body && body.journaled === 4,
      JSON.stringify(body),
    );
  });

  Deno.test(`${name} takes characters and depths that Postgres would refuse`, async () => {
    const deep = `${"[".repeat(500)}${"]".repeat(500)}`;
    const odd = `{"event": "other", "text": "\\u0000 \\ud800", "deep": ${deep}, "id": "${unique("event")}"}`;
    assert.equal((await requestFunction(name, json(name, odd))).status, 200);
  });
}

Deno.test("whatsapp-send-callback answers 200 unmatched when nobody waits for the event", async () => {
  const { status, body } = await postFunction("whatsapp-send-callback", {
    event: "message_sent",
    sessionId: unique("wa"),
    groupJid: groupJid(),
    messageId: unique("M"),
    status: "sent",
    error: null,
    timestamp: 1_790_000_000,
  });
  assert.equal(status, 200);
  assert.deepEqual(body, { ok: true, recorded: 0, duplicates: 0, unmatched: 1, journaled: 0 });
});

Deno.test("the webhooks settle a send and count its receipts once when posts are repeated", async () => {
  const sql = connect(testStack().databaseUrl, 2);
  try {
    // paused, so that no processor takes what is set to processing here
    const campaign = await createCampaign(sql, { status: "paused" });
    await sql`update public.notification_campaign_recipients set status = 'processing' where id = ${campaign.only.id}`;
    const messageId = unique("M");
    const callback = {
      event: "message_sent",
      sessionId: campaign.sessionId,
      groupJid: campaign.only.recipient,
      messageId,
    };
    const parked = [receipt("message_read", messageId, person(1)), receipt("message_delivered", messageId, person(2))];
    assert.deepEqual((await postFunction("whatsapp-read-receipt-webhook", parked)).body, {
      ok: true,
      recorded: 0,
      duplicates: 0,
      parked: 2,
      journaled: 0,
    });
    const first = await postFunction("whatsapp-send-callback", callback);
    assert.deepEqual([first.status, first.body], [200, {
      ok: true,
      recorded: 1,
      duplicates: 0,
      unmatched: 0,
      journaled: 0,
    }]);
    const again = await postFunction("whatsapp-send-callback", [callback]);
    assert.deepEqual(again.body, { ok: true, recorded: 0, duplicates: 1, unmatched: 0, journaled: 0 });
    assert.deepEqual((await postFunction("whatsapp-read-receipt-webhook", parked)).body, {
      ok: true,
      recorded: 0,
      duplicates: 2,
      parked: 0,
      journaled: 0,
    });
    // WhatsApp posts receipts of other people's messages and of reactions too
    const nothing = { ...receipt("message_read", messageId, person(3)), fromMe: false };
    assert.deepEqual((await postFunction("whatsapp-read-receipt-webhook", nothing)).body, {
      ok: true,
      recorded: 0,
      duplicates: 0,
      parked: 0,
      journaled: 1,
    });
    const row = await recipientRow(sql, campaign.only.id);
    assert.deepEqual([row.status, row.message_id, row.delivered_count, row.read_count], ["sent", messageId, 2, 1]);
    await sql`delete from public.notification_campaigns where id = ${campaign.id}`;
  } finally {
    await sql.end({ timeout: 5 });
  }
});

Deno.test("fifty anonymous deliveries to a group of 30 and the same reader from three sessions, all posted at once, count exactly", async () => {
  const sql = connect(testStack().databaseUrl, 2);
  try {
    const campaign = await createCampaign(sql, { status: "paused", recipients: 2, memberCount: 30 });
    const [anonymous, named] = campaign.recipients;
    assert.ok(anonymous && named);
    const ids = { anonymous: unique("M"), named: unique("M") };
    await sql`update public.notification_campaign_recipients set message_id = ${ids.anonymous} where id = ${anonymous.id}`;
    await sql`update public.notification_campaign_recipients set message_id = ${ids.named} where id = ${named.id}`;
    const posts = [
      ...Array.from({ length: 50 }, () => receipt("message_delivered", ids.anonymous, null)),
      ...["wa_1", "wa_2", "wa_3"].flatMap((sessionId) =>
        [1, 2, 3, 4].map((number) => receipt("message_delivered", ids.named, person(number), { sessionId }))
      ),
    ];
    const answers = await Promise.all(posts.map((post) => postFunction("whatsapp-read-receipt-webhook", post)));
    assert.ok(answers.every(({ status }) => status === 200));
    assert.equal((await recipientRow(sql, anonymous.id)).delivered_count, 30);
    assert.equal((await recipientRow(sql, named.id)).delivered_count, 4);
    await sql`delete from public.notification_campaigns where id = ${campaign.id}`;
  } finally {
    await sql.end({ timeout: 5 });
  }
});

Deno.test("two thousand receipts in one post are recorded, and posted again are duplicates", async () => {
  const sql = connect(testStack().databaseUrl, 2);
  try {
    const campaign = await createCampaign(sql, { status: "paused", memberCount: 5000 });
    const messageId = unique("M");
    await sql`update public.notification_campaign_recipients set message_id = ${messageId} where id = ${campaign.only.id}`;
    const receipts = Array.from(
      { length: 2000 },
      (_, number) => receipt("message_delivered", messageId, person(number)),
    );
    const counts = { ok: true, recorded: 2000, duplicates: 0, parked: 0, journaled: 0 };
    assert.deepEqual((await postFunction("whatsapp-read-receipt-webhook", receipts)).body, counts);
    assert.deepEqual((await postFunction("whatsapp-read-receipt-webhook", receipts)).body, {
      ...counts,
      recorded: 0,
      duplicates: 2000,
    });
    assert.equal((await recipientRow(sql, campaign.only.id)).delivered_count, 2000);
    await sql`delete from public.notification_campaigns where id = ${campaign.id}`;
  } finally {
    await sql.end({ timeout: 5 });
  }
});
