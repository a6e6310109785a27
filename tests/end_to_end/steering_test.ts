import assert from "node:assert/strict";
import { anonymousClient, dataOf, type Person, runProcessor, serviceClient, signUp } from "../harness/http.ts";
import { connect, groupJid, testStack, unique } from "../harness/mod.ts";

/** A paused sender, so that no processor sends what is steered here. */
async function draft(owner: Person, recipients: number): Promise<string> {
  const sessionId = unique("wa");
  dataOf(
    await owner.client.from("gateway_sessions").insert({
      id: sessionId,
      organization_id: owner.organizationId,
      status: "paused",
    }),
  );
  const { id } = dataOf(
    await owner.client.from("notification_campaigns").insert({
      organization_id: owner.organizationId,
      channel: "whatsapp_group",
      session_id: sessionId,
      content: { type: "text", text: "Hello" },
    }).select("id").single<{ id: string }>(),
  ) ?? assert.fail("no campaign");
  const rows = Array.from({ length: recipients }, () => ({ campaign_id: id, recipient: groupJid(), member_count: 5 }));
  dataOf(await owner.client.from("notification_campaign_recipients").insert(rows));
  return id;
}

async function forget(...people: Person[]): Promise<void> {
  const sql = connect(testStack().databaseUrl, 1);
  for (const { organizationId } of people) await sql`delete from public.organizations where id = ${organizationId}`;
  await sql.end({ timeout: 5 });
}

Deno.test("an owner starts, pauses, resumes and cancels a campaign through supabase-js, and sees what became of it", async () => {
  const owner = await signUp("owner");
  try {
    const id = await draft(owner, 3);
    const steps = [
      ["start_campaign", "processing"],
      ["start_campaign", "processing"],
      ["pause_campaign", "paused"],
      ["resume_campaign", "processing"],
      ["cancel_campaign", "cancelled"],
    ] as const;
    for (const [verb, expected] of steps) {
      const { data, error } = await owner.client.rpc(verb, { p_campaign_id: id });
      assert.equal(error, null, verb);
      assert.equal(data.status, expected, verb);
    }
    assert.equal((await runProcessor()).claimed, 0);
    const seen = dataOf(
      await owner.client.from("notification_campaign_stats").select("total_count,skipped_count,progress").eq(
        "campaign_id",
        id,
      ).single(),
    );
    assert.deepEqual(seen, { total_count: 3, skipped_count: 3, progress: 100 });
    const refused = await owner.client.rpc("resume_campaign", { p_campaign_id: id });
    assert.equal(refused.status, 409);
    assert.equal(refused.error?.message, "a campaign that is cancelled cannot be resumed: it must be paused");
    assert.match(refused.error?.hint ?? "", /paused/);
  } finally {
    await forget(owner);
  }
});

Deno.test("a user's token cannot set a status, a counter or a message id itself", async () => {
  const owner = await signUp("owner");
  try {
    const id = await draft(owner, 1);
    const changes = [
      await owner.client.from("notification_campaigns").update({ status: "completed" }).eq("id", id),
      await owner.client.from("notification_campaign_recipients").update({ status: "sent" }).eq("campaign_id", id),
      await owner.client.from("notification_campaign_recipients").update({ delivered_count: 5 }).eq("campaign_id", id),
      await owner.client.from("notification_campaign_recipients").insert({
        campaign_id: id,
        recipient: "x",
        message_id: "M",
      }),
      await owner.client.rpc("claim_recipients", { p_limit: 1 }),
      await owner.client.rpc("increment_delivered_count", { p_group_id: crypto.randomUUID() }),
      await owner.client.rpc("record_receipts", { p_receipts: [] }),
    ];
    for (const { status, error } of changes) {
      assert.equal(status, 403);
      assert.equal(error?.code, "42501");
    }
  } finally {
    await forget(owner);
  }
});

Deno.test("a viewer reads and steers nothing, a stranger finds no campaign, and nobody signed in is refused", async () => {
  const owner = await signUp("owner");
  const viewer = await signUp("viewer", owner.organizationId);
  const stranger = await signUp("owner");
  try {
    const id = await draft(owner, 2);
    const start = { p_campaign_id: id };
    assert.equal((await viewer.client.from("notification_campaigns").select("id").eq("id", id)).data?.length, 1);
    assert.equal((await viewer.client.rpc("start_campaign", start)).status, 403);
    assert.equal((await stranger.client.from("notification_campaigns").select("id").eq("id", id)).data?.length, 0);
    assert.equal(
      (await stranger.client.from("notification_campaign_stats").select("*").eq("campaign_id", id)).data?.length,
      0,
    );
    assert.equal((await stranger.client.rpc("start_campaign", start)).status, 404);
    const nobody = await anonymousClient().rpc("start_campaign", start);
    assert.ok(nobody.status === 401 || nobody.status === 403, `${nobody.status}`);
    const { data } = await serviceClient().from("notification_campaigns").select("status").eq("id", id).single<
      { status: string }
    >();
    assert.equal(data?.status, "draft");
  } finally {
    await forget(owner, stranger);
  }
});

Deno.test("a failed campaign is retried and an unconfirmed recipient confirmed through supabase-js", async () => {
  const owner = await signUp("owner");
  const sql = connect(testStack().databaseUrl, 1);
  try {
    const id = await draft(owner, 2);
    dataOf(await owner.client.rpc("start_campaign", { p_campaign_id: id }));
    await sql`update public.notification_campaign_recipients set status = 'failed' where campaign_id = ${id}`;
    const service = serviceClient();
    const status = async () =>
      dataOf(await service.from("notification_campaigns").select("status").eq("id", id).single<{ status: string }>())
        ?.status;
    assert.equal(await status(), "completed");
    assert.equal(dataOf(await owner.client.rpc("retry_failed_recipients", { p_campaign_id: id })).status, "processing");
    assert.equal(await status(), "processing");
    await sql`update public.notification_campaign_recipients set status = 'unconfirmed' where campaign_id = ${id}`;
    const rows =
      dataOf(await owner.client.from("notification_campaign_recipients").select("id").eq("campaign_id", id)) ?? [];
    const messageId = unique("M");
    for (const [number, { id: recipient }] of rows.entries()) {
      const confirmed = await owner.client.rpc("confirm_recipient", {
        p_recipient_id: recipient,
        p_sent: number === 0,
        ...number === 0 ? { p_message_id: messageId } : {},
      });
      assert.equal(confirmed.error, null);
      assert.equal(confirmed.data.status, number === 0 ? "sent" : "failed");
    }
    assert.equal(await status(), "completed");
  } finally {
    await sql.end({ timeout: 5 });
    await forget(owner);
  }
});

Deno.test("a campaign is scheduled and taken back through supabase-js, and a time that is past is refused", async () => {
  const owner = await signUp("owner");
  try {
    const id = await draft(owner, 1);
    const schedule = (at: string | null) =>
      owner.client.rpc("schedule_campaign", { p_campaign_id: id, p_scheduled_at: at });
    const at = "2100-01-01T08:00:00+00:00";
    const { status, scheduled_at } = dataOf(await schedule(at));
    assert.deepEqual([status, new Date(scheduled_at)], ["scheduled", new Date(at)]);
    assert.equal(dataOf(await schedule(null)).status, "draft");
    const refused = await schedule("2020-01-01T08:00:00Z");
    assert.equal(refused.status, 400);
    assert.match(refused.error?.message ?? "", /p_scheduled_at must be a time to come/);
  } finally {
    await forget(owner);
  }
});

Deno.test("an operator adds recipients in bulk through supabase-js, and hears what became of each", async () => {
  const owner = await signUp("owner");
  const operator = await signUp("operator", owner.organizationId);
  const viewer = await signUp("viewer", owner.organizationId);
  const stranger = await signUp("owner");
  try {
    const { id } = dataOf(
      await operator.client.from("notification_campaigns").insert({
        organization_id: owner.organizationId,
        channel: "whatsapp",
        content: { type: "text", text: "Hello {{name}}" },
      }).select("id").single<{ id: string }>(),
    ) ?? assert.fail("no campaign");
    const list = [
      "+4915112345678",
      { recipient: "+4915112345679", variables: { name: "Asha" } },
      { recipient: "49 151 12345678" },
      "+4915112345678",
      { recipient: " " },
    ];
    const add = (client: typeof owner.client) =>
      client.rpc("add_recipients", { p_campaign_id: id, p_recipients: list });
    assert.deepEqual(dataOf(await add(operator.client)), {
      added: 2,
      duplicates: 1,
      skipped: 1,
      refused: 1,
      problems: [{ index: 4, recipient: "", reason: "recipient is blank" }],
    });
    assert.equal((await add(viewer.client)).status, 403);
    assert.equal((await add(stranger.client)).status, 404);
    assert.ok([401, 403].includes((await add(anonymousClient())).status));

    // and as rows, with what is there left alone
    const rows = ["+4915112345678", "+4915112345680", "4915112345680"].map((recipient) => ({
      campaign_id: id,
      recipient,
      variables: { name: "Ravi" },
    }));
    const upsert = (client: typeof owner.client) =>
      client.from("notification_campaign_recipients").upsert(rows, {
        onConflict: "campaign_id,recipient",
        ignoreDuplicates: true,
      });
    for (const round of ["first", "again"]) assert.equal((await upsert(operator.client)).error, null, round);
    assert.equal((await upsert(viewer.client)).status, 403);
    const seen = dataOf(
      await viewer.client.from("notification_campaign_recipients").select("recipient,status,variables").eq(
        "campaign_id",
        id,
      ).order("recipient"),
    );
    assert.deepEqual(seen, [
      { recipient: "+4915112345678", status: "pending", variables: {} },
      { recipient: "+4915112345679", status: "pending", variables: { name: "Asha" } },
      { recipient: "+4915112345680", status: "pending", variables: { name: "Ravi" } },
      { recipient: "49 151 12345678", status: "skipped", variables: {} },
      { recipient: "4915112345680", status: "skipped", variables: { name: "Ravi" } },
    ]);
  } finally {
    await forget(owner, stranger);
  }
});
