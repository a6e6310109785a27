import assert from "node:assert/strict";
import {
  asRole,
  claim,
  claimOne,
  createContactCampaign,
  createMember,
  createOrganization,
  createSession,
  databaseTest,
  makeDue,
  optedOut,
  phone,
  phoneNumberId,
  preference,
  recipientRow,
  recordInboundMessages,
  recordReceipts,
  recordSendResults,
  replayWebhookEvents,
  sendOne,
  type Sql,
  statusOf,
  written,
} from "../harness/mod.ts";

const NUMBER = "+919876543210";
const USER = "US.13491208655302741918";
const START_OF_TIME = 1_790_000_000;

let messages = 0;

/** A sender of an organization of its own, and a contact who writes to it. */
async function business(sql: Sql) {
  const organizationId = await createOrganization(sql);
  const sessionId = await createSession(sql, organizationId, { id: phoneNumberId() });
  const by = { sessionId, contact: NUMBER } as const;
  /** A new message; `after`: seconds after the beginning. */
  const message = (text: string | null, after = 0, more: Record<string, unknown> = {}) =>
    written(by, `wamid.${++messages}`, text, { timestamp: START_OF_TIME + after, ...more });
  return {
    organizationId,
    sessionId,
    by,
    message,
    says: async (text: string | null, after = 0, more: Record<string, unknown> = {}) => {
      const { opted_out, opted_in } = await recordInboundMessages(sql, [message(text, after, more)]);
      return [opted_out, opted_in];
    },
    sets: async (value: "stop" | "resume", after = 0) => {
      const { opted_out, opted_in } = await recordInboundMessages(sql, [preference(by, value, START_OF_TIME + after)]);
      return [opted_out, opted_in];
    },
    isOut: async () => (await optedOut(sql, organizationId)).includes(NUMBER),
  };
}

// ---- words ----

const stops = [
  "STOP",
  "stop",
  "Stop.",
  " stop! ",
  "STOP\n",
  "*STOP*",
  "stop 🛑",
  "🛑 Stop 🛑",
  "“Stop”",
  "STOP ALL",
  "StopAll",
  "Unsubscribe",
  "opt-out",
  "Opt out.",
  "Cancel",
  "Stop promotions",
  "BAJA",
  "¡Darme de baja!",
  "Cancelar suscripción",
  "sair",
  "Arrêt",
  "ARRÊTER",
  "arre\u0302ter",
  "Stopp!",
  "Abmelden",
  "СТОП",
  "«Стоп!»",
  "Отписаться",
  "Відписатися",
  "İPTAL",
  "iptal",
  "Διακοπή",
  "إيقاف",
  "إلغاء الاشتراك",
  "توقف",
  "הסר",
  "बंद करें",
  "बंद करें।",
  "रोकें",
  "বন্ধ করুন",
  "நிறுத்து",
  "berhenti",
  "Dừng",
  "หยุด",
  "停止",
  "退订。",
  "配信停止",
  "수신거부",
  "ＳＴＯＰ",
] as const;
databaseTest("a whole message that says stop opts its writer out, in whatever language and dress", async ({ sql }) => {
  const { organizationId, sessionId } = await business(sql);
  const missed: string[] = [];
  for (const text of stops) {
    const contact = phone();
    const { opted_out } = await recordInboundMessages(sql, [written({ sessionId, contact }, `wamid.${contact}`, text)]);
    if (opted_out !== 1) missed.push(text);
  }
  assert.deepEqual(missed, []);
  assert.equal((await optedOut(sql, organizationId)).length, stops.length);
});

databaseTest("a message that merely holds such a word, or anything else, opts nobody out", async ({ sql }) => {
  const { organizationId, sessionId } = await business(sql);
  const texts = [
    "please stop by my shop",
    "stop by at 5?",
    "Don't stop",
    "non-stop",
    "nonstop",
    "When does it end?",
    "I want to cancel my order 4711",
    "stop the order please",
    "bus stop",
    "¿Puedo cancelar la cita?",
    "",
    "   ",
    "🛑",
    "👍",
    "?",
    "st op",
    "stop\u0000".replace("\u0000", "\ufffd") + "ping",
    `stop${" ".repeat(80)}by`,
    "a".repeat(5000),
    "START a new order",
    "1",
  ];
  const post = texts.map((text, index) => written({ sessionId, contact: phone() }, `wamid.no.${index}`, text));
  const { opted_out, opted_in, stored } = await recordInboundMessages(sql, post);
  assert.deepEqual([stored, opted_out, opted_in], [texts.length, 0, 0]);
  assert.deepEqual(await optedOut(sql, organizationId), []);
});

const starts = [
  "START",
  "start!",
  "Unstop",
  "Subscribe",
  "opt in",
  "Alta",
  "Старт",
  "ابدأ",
  "शुरू करें",
  "开始",
  "Resume",
] as const;
databaseTest("a whole message that says start lifts the opt-out, in whatever language", async ({ sql }) => {
  const { organizationId, sessionId } = await business(sql);
  for (const text of starts) {
    const contact = phone();
    const { opted_out, opted_in } = await recordInboundMessages(sql, [
      written({ sessionId, contact }, `wamid.stop.${contact}`, "STOP", { timestamp: START_OF_TIME }),
      written({ sessionId, contact }, `wamid.start.${contact}`, text, { timestamp: START_OF_TIME + 60 }),
    ]);
    assert.deepEqual([opted_out, opted_in], [0, 0], "the last word alone counts");
    const later = phone();
    await recordInboundMessages(sql, [
      written({ sessionId, contact: later }, `wamid.stop.${later}`, "STOP", { timestamp: START_OF_TIME }),
    ]);
    const lifted = await recordInboundMessages(sql, [
      written({ sessionId, contact: later }, `wamid.start.${later}`, text, { timestamp: START_OF_TIME + 60 }),
    ]);
    assert.equal(lifted.opted_in, 1, text);
  }
  assert.deepEqual(await optedOut(sql, organizationId), []);
});

databaseTest("a button that says stop opts out like the typed word", async ({ sql }) => {
  const { says, isOut } = await business(sql);
  assert.deepEqual(await says("Stop promotions", 0, { type: "button" }), [1, 0]);
  assert.ok(await isOut());
  assert.deepEqual(await says("START", 60, { type: "interactive" }), [0, 1]);
});

databaseTest("what is no text of a person says nothing: captions left out, reactions, echoes", async ({ sql }) => {
  const { says, isOut } = await business(sql);
  assert.deepEqual(await says(null, 0, { type: "reaction", payload: { reaction: { emoji: "STOP" } } }), [0, 0]);
  assert.deepEqual(await says("STOP", 0, { direction: "outbound" }), [0, 0]);
  assert.equal(await isOut(), false);
});

// ---- an organization's own words ----

databaseTest("an organization's own words count for it alone, and may take a common one back", async ({ sql }) => {
  const own = await business(sql);
  const other = await business(sql);
  await sql`
    insert into public.consent_keywords (organization_id, keyword, action)
    values
      (${own.organizationId}, '  Lass  MICH in Ruhe! ', 'stop'),
      (${own.organizationId}, 'CANCEL', 'ignore'),
      (${own.organizationId}, 'hola', 'start')
  `;
  assert.deepEqual(await other.says("lass mich in ruhe"), [0, 0]);
  assert.deepEqual(await own.says("cancel"), [0, 0], "ignored");
  assert.deepEqual(await other.says("cancel"), [1, 0]);
  assert.deepEqual(await own.says("Lass mich in Ruhe."), [1, 0]);
  assert.deepEqual(await own.says("¡Hola!", 60), [0, 1]);
  assert.deepEqual(await other.says("hola", 60), [0, 0]);
});

databaseTest("a word twice, a blank one, or one for everybody by an owner, is refused", async ({ sql }) => {
  const { organizationId } = await business(sql);
  const add = (keyword: string, organization: string | null = organizationId) =>
    sql`insert into public.consent_keywords (organization_id, keyword, action) values (${organization}, ${keyword}, 'stop')`;
  await add("genug");
  await assert.rejects(async () => await add("Genug!"), { code: "23505" });
  await assert.rejects(async () => await add("!?"), { code: "23514" });
  await assert.rejects(async () => await add("x".repeat(100)), { code: /^235/ });
  await assert.rejects(async () => await add("STOP", null), { code: "23505" });
  const owner = await createMember(sql, organizationId, "owner");
  for (const organization of [null, await createOrganization(sql)]) {
    await assert.rejects(
      () =>
        asRole(
          sql,
          "authenticated",
          owner,
          (api) =>
            api`insert into public.consent_keywords (organization_id, keyword, action) values (${organization}, 'nein danke', 'stop')`,
        ),
      { code: "42501" },
    );
  }
});

// ---- what comes of it ----

databaseTest("an opt-out takes effect at the next claim, and not on what is under way", async ({ sql }) => {
  const { organizationId, sessionId, says } = await business(sql);
  const one = await createContactCampaign(sql, { organizationId, sessionId, recipients: [NUMBER] });
  const two = await createContactCampaign(sql, {
    organizationId,
    sessionId,
    recipients: [`00${NUMBER.slice(1)}`],
    status: "paused",
  });
  const underWay = await claimOne(sql);
  await says("STOP");
  await recordSendResults(sql, [{ clientMessageId: underWay.client_message_id, outcome: "sent", messageId: "M1" }]);
  assert.equal((await recipientRow(sql, one.only.id)).status, "sent");
  await sql`update public.notification_campaigns set status = 'processing' where id = ${two.id}`;
  assert.deepEqual(await claim(sql), []);
  assert.equal((await recipientRow(sql, two.only.id)).skip_reason, "opted_out");
  await says("START", 60);
  const three = await createContactCampaign(sql, { organizationId, sessionId, recipients: [NUMBER] });
  assert.equal((await claimOne(sql)).recipient_id, three.only.id);
});

databaseTest(
  "a message that waits for its next attempt is not sent to one who says stop meanwhile",
  async ({ sql }) => {
    const { organizationId, sessionId, says } = await business(sql);
    const campaign = await createContactCampaign(sql, { organizationId, sessionId, recipients: [NUMBER] });
    const { client_message_id: clientMessageId } = await claimOne(sql);
    await recordSendResults(sql, [{ clientMessageId, outcome: "failed", errorCode: "131000" }]);
    await says("STOP");
    await makeDue(sql);
    assert.deepEqual(await claim(sql), []);
    assert.deepEqual((await recipientRow(sql, campaign.only.id)).skip_reason, "opted_out");
  },
);

databaseTest(
  "who says stop to one organization, or on one channel, is still written to by others and on others",
  async ({ sql }) => {
    const { organizationId, sessionId, says } = await business(sql);
    const other = await createContactCampaign(sql, { recipients: [NUMBER] });
    const sms = await createContactCampaign(sql, { organizationId, channel: "sms", recipients: [NUMBER] });
    await createContactCampaign(sql, { organizationId, sessionId, recipients: [NUMBER] });
    await says("STOP");
    assert.deepEqual(new Set((await claim(sql)).map(({ campaign_id }) => campaign_id)), new Set([other.id, sms.id]));
  },
);

databaseTest("a word by text message is about text messages", async ({ sql }) => {
  const { organizationId, says } = await business(sql);
  await says("STOP", 0, { channel: "sms" });
  assert.deepEqual(await optedOut(sql, organizationId, "sms"), [NUMBER]);
  assert.deepEqual(await optedOut(sql, organizationId, "whatsapp"), []);
});

databaseTest("the reason of an opt-out tells what was said", async ({ sql }) => {
  const { says, sets } = await business(sql);
  await says("Stop promotions");
  const [written] = await sql<{ reason: string }[]>`select reason from public.opt_outs`;
  assert.match(written?.reason ?? "", /Stop promotions/);
  await says("START", 60);
  await sets("stop", 120);
  const [set] = await sql<{ reason: string }[]>`select reason from public.opt_outs`;
  assert.match(set?.reason ?? "", /preferences/);
});

databaseTest(
  "start lifts every opt-out of the contact, in whatever spelling and for whatever reason",
  async ({ sql }) => {
    const { organizationId, says, isOut } = await business(sql);
    await sql`
    insert into public.opt_outs (organization_id, channel, recipient, reason)
    values
      (${organizationId}, 'whatsapp', '00919876543210', 'told us on the phone'),
      (${organizationId}, 'whatsapp', ${NUMBER}, 'the provider refused with 131050')
  `;
    assert.deepEqual(await says("START"), [0, 2]);
    assert.equal(await isOut(), false);
  },
);

databaseTest("start lifts the opt-out that a provider's refusal made", async ({ sql }) => {
  const { organizationId, sessionId, says, isOut } = await business(sql);
  await createContactCampaign(sql, { organizationId, sessionId, recipients: [NUMBER] });
  await sendOne(sql, "M1");
  await recordReceipts(sql, [statusOf("failed", "M1", { errorCode: "131050" })]);
  assert.ok(await isOut());
  assert.deepEqual(await says("START"), [0, 1]);
  await recordReceipts(sql, [statusOf("failed", "M1", { errorCode: "131050" })]);
  assert.equal(await isOut(), false, "the same refusal again is no news");
});

// ---- repetition and order ----

databaseTest("a stop that is said or posted again opts out once", async ({ sql }) => {
  const { says, message } = await business(sql);
  const first = message("STOP");
  assert.equal((await recordInboundMessages(sql, [first, first])).opted_out, 1);
  assert.equal((await recordInboundMessages(sql, [first])).opted_out, 0);
  assert.deepEqual(await says("stop", 60), [0, 0]);
  assert.equal((await sql`select from public.opt_outs`).length, 1);
});

databaseTest("a stop that is posted again after a start changes nothing", async ({ sql }) => {
  const { says, message, isOut } = await business(sql);
  const stop = message("STOP");
  await recordInboundMessages(sql, [stop]);
  await says("START", 60);
  for (let times = 0; times < 3; times++) {
    assert.deepEqual(await recordInboundMessages(sql, [stop]), {
      stored: 0,
      duplicates: 1,
      journaled: 0,
      opted_out: 0,
      opted_in: 0,
    });
  }
  assert.equal(await isOut(), false);
});

databaseTest("a stop that arrives after the start that followed it changes nothing", async ({ sql }) => {
  const { says, isOut } = await business(sql);
  await says("START", 60);
  assert.deepEqual(await says("STOP", 0), [0, 0]);
  assert.equal(await isOut(), false);
  assert.deepEqual(await says("STOP", 61), [1, 0]);
});

databaseTest("a start that arrives after the stop that followed it changes nothing", async ({ sql }) => {
  const { says, isOut } = await business(sql);
  await says("STOP", 60);
  assert.deepEqual(await says("START", 0), [0, 0]);
  assert.ok(await isOut());
});

databaseTest("stop counts where both are said within a second, in either order and in one post", async ({ sql }) => {
  for (const order of [["STOP", "START"], ["START", "STOP"]] as const) {
    const apart = await business(sql);
    for (const word of order) await apart.says(word);
    assert.ok(await apart.isOut(), `${order.join(", ")}, one by one`);
    const together = await business(sql);
    await recordInboundMessages(sql, order.map((word) => together.message(word)));
    assert.ok(await together.isOut(), `${order.join(", ")}, in one post`);
  }
});

databaseTest("in one post the last word counts by its time, not by its place", async ({ sql }) => {
  const { message, isOut } = await business(sql);
  await recordInboundMessages(sql, [message("START", 60), message("STOP", 0)]);
  assert.equal(await isOut(), false);
});

databaseTest("an opt-out that an operator has lifted is not brought back by the old stop", async ({ sql }) => {
  const { message, by, sets, isOut } = await business(sql);
  const stop = message("STOP");
  await recordInboundMessages(sql, [stop]);
  await sets("stop", 10);
  await sql`delete from public.opt_outs`;
  await recordInboundMessages(sql, [stop, preference(by, "stop", START_OF_TIME + 10)]);
  assert.equal(await isOut(), false);
  assert.deepEqual(await sets("stop", 20), [1, 0], "a new one does");
});

databaseTest("preferences count by their time, however they are repeated and reordered", async ({ sql }) => {
  const { sets, isOut } = await business(sql);
  const said = [["stop", 0], ["resume", 10], ["stop", 20], ["resume", 30]] as const;
  const orders = [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2, 0, 1], [2, 2, 3, 3, 0]];
  for (const order of orders) {
    await sql`delete from public.opt_outs`;
    await sql`delete from private.consents`;
    for (const index of order) {
      const [value, after] = said[index] ?? said[0];
      await sets(value, after);
    }
    assert.equal(await isOut(), false, order.join());
    assert.deepEqual(await sets("stop", 20), [0, 0]);
  }
});

databaseTest("a preference and a word count against each other by their time", async ({ sql }) => {
  const { says, sets, isOut } = await business(sql);
  assert.deepEqual(await sets("stop", 10), [1, 0]);
  assert.deepEqual(await says("START", 5), [0, 0]);
  assert.deepEqual(await says("START", 15), [0, 1]);
  assert.deepEqual(await sets("stop", 12), [0, 0]);
  assert.equal(await isOut(), false);
});

databaseTest("a post of Twilio's that is repeated after a start does not opt out again", async ({ sql }) => {
  const { organizationId, sessionId } = await business(sql);
  // a keyword of Twilio's own opt-out service comes as a message and a preference, neither of which has a time
  const post = (messageId: string, text: string, value: string) => [
    written({ sessionId, contact: NUMBER }, messageId, text, { channel: "sms", timestamp: null }),
    { ...preference({ sessionId, contact: NUMBER }, value, 0), messageId, channel: "sms", timestamp: null },
  ];
  await recordInboundMessages(sql, post("SM1", "HALT", "stop"));
  assert.deepEqual(await optedOut(sql, organizationId, "sms"), [NUMBER]);
  await recordInboundMessages(sql, post("SM2", "WEITER", "resume"));
  await recordInboundMessages(sql, post("SM1", "HALT", "stop"));
  assert.deepEqual(await optedOut(sql, organizationId, "sms"), []);
});

databaseTest("a word dated in the future does not outrank what is said after it", async ({ sql }) => {
  const { says, isOut } = await business(sql);
  await says("STOP", 0, { timestamp: 9_999_999_999 });
  assert.ok(await isOut());
  await says("START", 0, { timestamp: null });
  assert.equal(await isOut(), false);
});

// ---- people who hide their number ----

/** Who the campaign's contact is to the business: the number; the words come from the person behind it. */
async function stopsCampaign(sql: Sql, posts: (sessionId: string) => Record<string, unknown>[]): Promise<void> {
  const campaign = await createContactCampaign(sql, { recipients: [NUMBER] });
  for (const element of posts(campaign.sessionId)) await recordInboundMessages(sql, [element]);
  assert.deepEqual(await claim(sql), [], "who said stop is not written to");
  assert.equal((await recipientRow(sql, campaign.only.id)).skip_reason, "opted_out");
}

databaseTest("stop by one who hides the number now holds for the number that was shown before", async ({ sql }) => {
  await stopsCampaign(sql, (sessionId) => [
    written({ sessionId, contact: NUMBER, userId: USER }, "wamid.1", "Hello"),
    written({ sessionId, userId: USER }, "wamid.2", "STOP"),
  ]);
});

databaseTest(
  "a preference of one who hides the number now holds for the number that was shown before",
  async ({ sql }) => {
    await stopsCampaign(sql, (sessionId) => [
      written({ sessionId, contact: NUMBER, userId: USER }, "wamid.1", "Hello"),
      preference({ sessionId, userId: USER }, "stop", START_OF_TIME),
    ]);
  },
);

databaseTest("stop by one who had hidden the number holds for the number it comes with", async ({ sql }) => {
  await stopsCampaign(sql, (sessionId) => [
    written({ sessionId, userId: USER }, "wamid.1", "Hello"),
    written({ sessionId, contact: NUMBER, userId: USER }, "wamid.2", "STOP"),
  ]);
});

databaseTest("stop by one who had hidden the number holds for the number that is shown later", async ({ sql }) => {
  await stopsCampaign(sql, (sessionId) => [
    written({ sessionId, userId: USER }, "wamid.1", "STOP"),
    written({ sessionId, contact: NUMBER, userId: USER }, "wamid.2", "I mean it"),
  ]);
});

databaseTest(
  "stop by one who hides the number holds for it when the two were seen together only after they had conversations of their own",
  async ({ sql }) => {
    await stopsCampaign(sql, (sessionId) => [
      written({ sessionId, userId: USER }, "wamid.1", "Hello"),
      written({ sessionId, contact: NUMBER }, "wamid.2", "Hello"),
      written({ sessionId, contact: NUMBER, userId: USER }, "wamid.3", "It is me"),
      written({ sessionId, userId: USER }, "wamid.4", "STOP"),
    ]);
  },
);

databaseTest("stop by one who is known by a user id alone is kept under that id", async ({ sql }) => {
  const { organizationId, sessionId } = await business(sql);
  await recordInboundMessages(sql, [written({ sessionId, userId: USER }, "wamid.1", "STOP")]);
  assert.deepEqual(await optedOut(sql, organizationId), [USER]);
  const campaign = await createContactCampaign(sql, { organizationId, sessionId, recipients: [USER] });
  assert.deepEqual(await claim(sql), []);
  assert.equal((await recipientRow(sql, campaign.only.id)).skip_reason, "opted_out");
});

// ---- a sender that nobody has yet ----

for (
  const [what, element] of [
    ["word", (sessionId: string) => written({ sessionId, contact: NUMBER }, "wamid.1", "STOP")],
    ["preference", (sessionId: string) => preference({ sessionId, contact: NUMBER }, "stop", START_OF_TIME)],
  ] as const
) {
  databaseTest(
    `a ${what} of one who wants no more takes effect once its sender has an organization`,
    async ({ sql }) => {
      const sessionId = phoneNumberId();
      await recordInboundMessages(sql, [element(sessionId)]);
      const organizationId = await createOrganization(sql);
      await createSession(sql, organizationId, { id: sessionId });
      await replayWebhookEvents(sql);
      const campaign = await createContactCampaign(sql, { organizationId, sessionId, recipients: [NUMBER] });
      assert.deepEqual(await claim(sql), []);
      assert.equal((await recipientRow(sql, campaign.only.id)).skip_reason, "opted_out");
    },
  );
}

databaseTest("a word to an installation's sender is for the organization whose message it answers", async ({ sql }) => {
  const sessionId = phoneNumberId();
  const campaigns = [];
  for (const id of ["M1", "M2"]) {
    campaigns.push(await createContactCampaign(sql, { sessionId: null, recipients: [NUMBER] }));
    const claimed = await claimOne(sql, { defaultSenders: { "cloud-api": sessionId } });
    await recordReceipts(sql, [statusOf("sent", id, { clientMessageId: claimed.client_message_id })]);
  }
  const [first, second] = campaigns;
  assert.ok(first && second);
  await recordInboundMessages(sql, [
    written({ sessionId, contact: NUMBER }, "wamid.1", "STOP", { contextMessageId: "M1" }),
  ]);
  assert.deepEqual(await optedOut(sql, first.organizationId), [NUMBER]);
  assert.deepEqual(await optedOut(sql, second.organizationId), []);
});
