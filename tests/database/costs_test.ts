import assert from "node:assert/strict";
import {
  type Campaign,
  claimOne,
  createContactCampaign,
  createOrganization,
  createSession,
  databaseTest,
  phoneNumberId,
  recipientRow,
  recordReceipts,
  recordSendResults,
  sendOne,
  type Sql,
  stats,
  statusOf,
} from "../harness/mod.ts";

/** What the rows of a campaign cost, and what its counter says; the two must be one. */
async function costOf(sql: Sql, campaign: Campaign): Promise<number> {
  const [row] = await sql<{ cost: number }[]>`
    select coalesce(sum(r.cost), 0) as cost from public.notification_campaign_recipients r where r.campaign_id = ${campaign.id}
  `;
  const { cost } = await stats(sql, campaign.id);
  assert.equal(cost, row?.cost, "the counter is the sum of the rows");
  return cost;
}

interface Rate {
  readonly category?: string;
  readonly prefix?: string;
  readonly cost: number;
  readonly currency?: string;
  /** Days ago; negative: still to come. */
  readonly validFor?: number;
}

async function addRate(sql: Sql, { organizationId }: Campaign, rate: Rate): Promise<void> {
  await sql`
    insert into public.message_rates (organization_id, category, address_prefix, cost, currency, effective_at)
    values (
      ${organizationId}, ${rate.category ?? "marketing"}, ${rate.prefix ?? ""}, ${rate.cost}, ${rate.currency ?? "EUR"},
      now() - make_interval(days => ${rate.validFor ?? 30})
    )
  `;
}

const marketing = { pricingCategory: "marketing" } as const;

// ---- an amount ----

databaseTest("the cost that a status names is the cost of its message", async ({ sql }) => {
  const campaign = await createContactCampaign(sql, { channel: "sms" });
  await sendOne(sql, "SM1");
  await recordReceipts(sql, [statusOf("delivered", "SM1", { reader: "sms", cost: 0.0079, currency: "USD" })]);
  const row = await recipientRow(sql, campaign.only.id);
  assert.deepEqual([row.cost, row.currency], [0.0079, "USD"]);
  assert.equal(await costOf(sql, campaign), 0.0079);
});

databaseTest("the cost of a message counts once, however often and in whatever status it is named", async ({ sql }) => {
  const campaign = await createContactCampaign(sql);
  await sendOne(sql, "M1");
  const cost = { cost: 0.05, currency: "EUR" };
  const posts = [
    [statusOf("sent", "M1", cost)],
    [statusOf("sent", "M1", cost), statusOf("delivered", "M1", cost)],
    [statusOf("read", "M1", cost), statusOf("read", "M1", cost)],
    [statusOf("played", "M1", cost)],
    [statusOf("failed", "M1", cost)],
  ];
  for (const post of [...posts, ...posts.toReversed()]) {
    await recordReceipts(sql, post);
    assert.equal(await costOf(sql, campaign), 0.05);
  }
});

databaseTest("a cost that comes after all statuses is added, and is no news to the counts", async ({ sql }) => {
  const campaign = await createContactCampaign(sql, { channel: "sms" });
  await sendOne(sql, "SM1");
  const delivered = statusOf("delivered", "SM1", { reader: "sms" });
  await recordReceipts(sql, [delivered]);
  assert.equal(await costOf(sql, campaign), 0);
  const answer = await recordReceipts(sql, [{ ...delivered, cost: 0.0079, currency: "USD" }]);
  assert.deepEqual(answer, { recorded: 0, duplicates: 1, parked: 0, journaled: 0 });
  assert.equal(await costOf(sql, campaign), 0.0079);
  const { delivered_count, read_count } = await stats(sql, campaign.id);
  assert.deepEqual({ delivered_count, read_count }, { delivered_count: 1, read_count: 0 });
});

databaseTest("the first cost of a message stays when another is named later", async ({ sql }) => {
  const campaign = await createContactCampaign(sql);
  await sendOne(sql, "M1");
  await recordReceipts(sql, [statusOf("delivered", "M1", { cost: 0.05, currency: "EUR" })]);
  await recordReceipts(sql, [statusOf("read", "M1", { cost: 0.09, currency: "USD" })]);
  const row = await recipientRow(sql, campaign.only.id);
  assert.deepEqual([row.cost, row.currency], [0.05, "EUR"]);
});

databaseTest("a free message costs nothing, and that is known", async ({ sql }) => {
  const campaign = await createContactCampaign(sql);
  await addRate(sql, campaign, { cost: 0.05 });
  await sendOne(sql, "M1");
  await recordReceipts(sql, [statusOf("sent", "M1", { cost: 0 })]);
  await recordReceipts(sql, [statusOf("delivered", "M1", marketing)]);
  assert.equal((await recipientRow(sql, campaign.only.id)).cost, 0);
  assert.equal(await costOf(sql, campaign), 0);
});

databaseTest("two messages of one recipient cost what both cost", async ({ sql }) => {
  const campaign = await createContactCampaign(sql);
  const { client_message_id: clientMessageId } = await sendOne(sql, "M1");
  const cost = { cost: 0.05, currency: "EUR", clientMessageId };
  await recordReceipts(sql, [statusOf("delivered", "M1", cost), statusOf("delivered", "M2", cost)]);
  await recordReceipts(sql, [statusOf("read", "M1", cost), statusOf("read", "M2", cost)]);
  assert.equal(await costOf(sql, campaign), 0.1);
});

databaseTest("recipients keep the currencies of their messages as they are", async ({ sql }) => {
  const campaign = await createContactCampaign(sql, { recipients: 2 });
  const costs = [{ cost: 0.05, currency: "EUR" }, { cost: 4.5, currency: "INR" }];
  for (const [index, { id }] of campaign.recipients.entries()) {
    const { client_message_id: clientMessageId } = await claimOne(sql, { limit: 1 });
    await recordReceipts(sql, [statusOf("delivered", `M${index}`, { clientMessageId, ...costs[index] })]);
    assert.ok(id);
  }
  const rows = await sql`
    select cost, currency from public.notification_campaign_recipients where campaign_id = ${campaign.id} order by cost
  `;
  assert.deepEqual([...rows], costs);
  assert.equal(await costOf(sql, campaign), 4.55);
});

databaseTest("the cost of a parked status is its message's once the message is known", async ({ sql }) => {
  const campaign = await createContactCampaign(sql);
  const { client_message_id: clientMessageId } = await claimOne(sql);
  const cost = { cost: 0.05, currency: "EUR" };
  await recordReceipts(sql, [statusOf("delivered", "M1", cost)]);
  await recordReceipts(sql, [statusOf("read", "M1", cost)]);
  assert.equal(await costOf(sql, campaign), 0);
  await recordSendResults(sql, [{ clientMessageId, outcome: "sent", messageId: "M1" }]);
  assert.equal(await costOf(sql, campaign), 0.05);
  assert.equal((await recipientRow(sql, campaign.only.id)).currency, "EUR");
});

databaseTest("a deleted recipient takes its cost along", async ({ sql }) => {
  const campaign = await createContactCampaign(sql);
  await sendOne(sql, "M1");
  await recordReceipts(sql, [statusOf("delivered", "M1", { cost: 0.05, currency: "EUR" })]);
  await sql`delete from public.notification_campaign_recipients`;
  assert.equal(await costOf(sql, campaign), 0);
});

databaseTest("a status whose cost is no amount does not sink its post", async ({ sql }) => {
  const campaign = await createContactCampaign(sql);
  await sendOne(sql, "M1");
  const odd = ["free", "NaN", {}, [], true, "1e500", -1, 1e20, "", null, "Infinity"];
  for (const [index, cost] of odd.entries()) {
    const kind = index === 0 ? "delivered" : "read";
    await recordReceipts(sql, [statusOf("read", `odd ${index}`, { cost }), statusOf(kind, "M1", { cost })]);
    assert.equal((await recipientRow(sql, campaign.only.id)).delivered_count, 1, JSON.stringify(cost));
    assert.ok(await costOf(sql, campaign) >= 0, JSON.stringify(cost));
  }
});

// ---- a category ----

databaseTest("a category costs what its rate says, once", async ({ sql }) => {
  const campaign = await createContactCampaign(sql);
  await addRate(sql, campaign, { cost: 0.0618 });
  await addRate(sql, campaign, { category: "utility", cost: 0.01 });
  await sendOne(sql, "M1");
  for (const kind of ["delivered", "read", "delivered"] as const) {
    await recordReceipts(sql, [statusOf(kind, "M1", marketing)]);
    assert.equal(await costOf(sql, campaign), 0.0618);
  }
  assert.equal((await recipientRow(sql, campaign.only.id)).currency, "EUR");
});

databaseTest("the rate with the longest prefix of the number counts", async ({ sql }) => {
  const numbers = ["+4915123456789", "+49301234567", "+14155550123", "+390612345678"];
  const campaign = await createContactCampaign(sql, { recipients: numbers });
  await addRate(sql, campaign, { cost: 1 });
  await addRate(sql, campaign, { prefix: "+49", cost: 2 });
  await addRate(sql, campaign, { prefix: "+4915", cost: 3, currency: "USD" });
  await addRate(sql, campaign, { prefix: "+1", cost: 4 });
  for (const [index] of numbers.entries()) {
    const { client_message_id: clientMessageId } = await claimOne(sql, { limit: 1 });
    await recordReceipts(sql, [statusOf("delivered", `M${index}`, { clientMessageId, ...marketing })]);
  }
  const rows = await sql<{ recipient: string; cost: number; currency: string }[]>`
    select recipient, cost, currency from public.notification_campaign_recipients order by cost
  `;
  assert.deepEqual(rows.map(({ recipient, cost, currency }) => [recipient, cost, currency]), [
    ["+390612345678", 1, "EUR"],
    ["+49301234567", 2, "EUR"],
    ["+4915123456789", 3, "USD"],
    ["+14155550123", 4, "EUR"],
  ]);
});

databaseTest("the rate of a number counts however the recipient is written", async ({ sql }) => {
  const campaign = await createContactCampaign(sql, { recipients: ["0049 151 23456789"] });
  await addRate(sql, campaign, { prefix: "+49", cost: 2 });
  await sendOne(sql, "M1");
  await recordReceipts(sql, [statusOf("delivered", "M1", marketing)]);
  assert.equal(await costOf(sql, campaign), 2);
});

databaseTest("the rate that holds today counts, not one of the past or to come", async ({ sql }) => {
  const campaign = await createContactCampaign(sql);
  await addRate(sql, campaign, { cost: 1, validFor: 90 });
  await addRate(sql, campaign, { cost: 2, validFor: 10 });
  await addRate(sql, campaign, { cost: 3, validFor: -1 });
  await sendOne(sql, "M1");
  await recordReceipts(sql, [statusOf("delivered", "M1", marketing)]);
  assert.equal(await costOf(sql, campaign), 2);
  await sql`delete from public.message_rates where cost < 3`;
  await recordReceipts(sql, [statusOf("read", "M1", marketing)]);
  assert.equal(await costOf(sql, campaign), 2, "what it cost stays");
});

databaseTest(
  "a category without a rate, or with another organization's, costs nothing that is known",
  async ({ sql }) => {
    const other = await createContactCampaign(sql, { recipients: 0 });
    await addRate(sql, other, { cost: 9 });
    const campaign = await createContactCampaign(sql);
    await addRate(sql, campaign, { category: "utility", cost: 1 });
    await addRate(sql, campaign, { prefix: "+1", cost: 1 });
    await sendOne(sql, "M1");
    await recordReceipts(sql, [statusOf("delivered", "M1", marketing)]);
    assert.deepEqual([await costOf(sql, campaign), (await recipientRow(sql, campaign.only.id)).cost], [0, null]);
  },
);

databaseTest(
  "a rate that is added too late for the delivery counts when the next status names the category",
  async ({ sql }) => {
    const campaign = await createContactCampaign(sql);
    await sendOne(sql, "M1");
    await recordReceipts(sql, [statusOf("delivered", "M1", marketing)]);
    await addRate(sql, campaign, { cost: 0.05 });
    await recordReceipts(sql, [statusOf("read", "M1", marketing)]);
    assert.equal(await costOf(sql, campaign), 0.05);
  },
);

databaseTest("an amount goes before a category", async ({ sql }) => {
  const campaign = await createContactCampaign(sql);
  await addRate(sql, campaign, { cost: 0.05 });
  await sendOne(sql, "M1");
  await recordReceipts(sql, [statusOf("delivered", "M1", { ...marketing, cost: 0.03, currency: "USD" })]);
  await recordReceipts(sql, [statusOf("read", "M1", marketing)]);
  const row = await recipientRow(sql, campaign.only.id);
  assert.deepEqual([row.cost, row.currency], [0.03, "USD"]);
});

databaseTest("a parked status with a category is priced when its message is known, and once", async ({ sql }) => {
  const campaign = await createContactCampaign(sql);
  await addRate(sql, campaign, { cost: 0.05 });
  const { client_message_id: clientMessageId } = await claimOne(sql);
  await recordReceipts(sql, [statusOf("delivered", "M1", marketing)]);
  await recordReceipts(sql, [statusOf("read", "M1", marketing)]);
  await recordSendResults(sql, [{ clientMessageId, outcome: "sent", messageId: "M1" }]);
  assert.equal(await costOf(sql, campaign), 0.05);
  await recordReceipts(sql, [statusOf("read", "M1", marketing), statusOf("played", "M1", marketing)]);
  assert.equal(await costOf(sql, campaign), 0.05);
});

databaseTest(
  "a status that names message and category at once is priced by the attempt it carries",
  async ({ sql }) => {
    const campaign = await createContactCampaign(sql);
    await addRate(sql, campaign, { cost: 0.05 });
    const { client_message_id: clientMessageId } = await claimOne(sql);
    await recordReceipts(sql, [statusOf("delivered", "M1", { ...marketing, clientMessageId })]);
    assert.equal(await costOf(sql, campaign), 0.05);
  },
);

databaseTest("a message costs what the rate of the organization that sent it says", async ({ sql }) => {
  const organizationId = await createOrganization(sql);
  const sessionId = await createSession(sql, organizationId, { id: phoneNumberId() });
  const cheap = await createContactCampaign(sql, { organizationId, sessionId });
  await addRate(sql, cheap, { cost: 0.01 });
  await sendOne(sql, "M1");
  const dear = await createContactCampaign(sql);
  await addRate(sql, dear, { cost: 0.09 });
  await sendOne(sql, "M2");
  await recordReceipts(sql, ["M1", "M2"].map((id) => statusOf("delivered", id, marketing)));
  assert.deepEqual([await costOf(sql, cheap), await costOf(sql, dear)], [0.01, 0.09]);
});

databaseTest("a rate below nothing, or the same one twice, is refused", async ({ sql }) => {
  const campaign = await createContactCampaign(sql);
  await assert.rejects(() => addRate(sql, campaign, { cost: -0.01 }), { code: "23514" });
  await sql`insert into public.message_rates (organization_id, category, cost, currency) values (${campaign.organizationId}, 'service', 1, 'EUR')`;
  await assert.rejects(
    async () =>
      await sql`
        insert into public.message_rates (organization_id, category, cost, currency)
        values (${campaign.organizationId}, 'service', 2, 'EUR')
      `,
    { code: "23505" },
  );
});
