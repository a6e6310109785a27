import assert from "node:assert/strict";
import {
  atOnce,
  campaignRow,
  claim,
  createCampaign,
  databaseTest,
  endLeases,
  recipientRow,
  recordSendCallback,
  recordSendResults,
  recoverStale,
  sentCallback,
  shuffled,
  stats,
} from "../harness/mod.ts";

const ROUNDS = 50;

databaseTest(
  "a cancellation and late successes of pending rows at the same moment deadlock never and lose none",
  async ({ sql, pool }) => {
    const work = pool(5);
    for (let round = 0; round < ROUNDS; round++) {
      const campaign = await createCampaign(sql, { recipients: 8 });
      const claims = await claim(sql);
      await endLeases(sql);
      assert.equal(await recoverStale(sql), 8);
      await atOnce<unknown>(shuffled([
        async () => await work`select public.cancel_campaign(${campaign.id})`,
        ...claims.slice(0, 4).map((claimed, number) => () =>
          recordSendCallback(work, sentCallback(claimed, `M${round}-${number}`))
        ),
      ]));
      const { sent_count, skipped_count } = await stats(sql, campaign.id);
      assert.deepEqual([sent_count, skipped_count], [4, 4], `round ${round}`);
      assert.equal((await campaignRow(sql, campaign.id)).status, "cancelled");
    }
  },
);

databaseTest(
  "a cancellation and requeueing answers at the same moment leave nothing pending",
  async ({ sql, pool }) => {
    const work = pool(5);
    for (let round = 0; round < ROUNDS; round++) {
      const campaign = await createCampaign(sql, { recipients: 8, onTransientError: "retry" });
      const claims = await claim(sql, { limit: 6 });
      await atOnce<unknown>(shuffled([
        async () => await work`select public.cancel_campaign(${campaign.id})`,
        ...claims.map((claimed, number) => () =>
          recordSendResults(work, [{
            clientMessageId: claimed.client_message_id,
            outcome: number % 2 === 0 ? "deferred" : "not_found",
          }])
        ),
      ]));
      const { pending_count, skipped_count } = await stats(sql, campaign.id);
      assert.deepEqual([pending_count, skipped_count], [0, 8], `round ${round}`);
    }
  },
);

databaseTest(
  "a person's word and a callback at the same moment deadlock never, and the success wins",
  async ({ sql, pool }) => {
    const work = pool(3);
    for (let round = 0; round < ROUNDS; round++) {
      const campaign = await createCampaign(sql, { unconfirmedPolicy: "hold" });
      const [claimed] = await claim(sql);
      assert.ok(claimed);
      await endLeases(sql);
      await recoverStale(sql);
      const sent = round % 2 === 0;
      await atOnce<unknown>(shuffled([
        async () =>
          await work`select public.confirm_recipient(${campaign.only.id}, ${sent}, ${sent ? `M${round}` : null})`,
        () => recordSendCallback(work, sentCallback(claimed, `M${round}`)),
      ]));
      const row = await recipientRow(sql, campaign.only.id);
      assert.deepEqual([row.status, row.message_id], ["sent", `M${round}`]);
      assert.equal((await sql`select from public.duplicate_sends`).length, 0);
    }
  },
);

databaseTest(
  "a retry of failed rows and late successes at the same moment deadlock never and send nothing twice",
  async ({ sql, pool }) => {
    const work = pool(5);
    for (let round = 0; round < ROUNDS; round++) {
      const campaign = await createCampaign(sql, { recipients: 6 });
      const claims = await claim(sql);
      await recordSendResults(
        sql,
        claims.map(({ client_message_id: clientMessageId }) => ({ clientMessageId, outcome: "failed" as const })),
      );
      await atOnce<unknown>(shuffled([
        async () => await work`select public.retry_failed_recipients(${campaign.id})`,
        async () => await work`select public.retry_failed_recipients(${campaign.id})`,
        ...claims.slice(0, 3).map((claimed, number) => () =>
          recordSendCallback(work, sentCallback(claimed, `M${round}-${number}`))
        ),
      ]));
      const { sent_count } = await stats(sql, campaign.id);
      assert.equal(sent_count, 3, `round ${round}`);
      const again = await claim(sql);
      const settled = new Set(claims.slice(0, 3).map((claimed) => claimed.recipient_id));
      assert.ok(!again.some((claimed) => settled.has(claimed.recipient_id)), "a row that was sent is not claimed");
      await sql`select public.cancel_campaign(${campaign.id})`;
    }
  },
);

databaseTest(
  "a retry, a cancellation and what finishes them at the same moment deadlock never and leave nothing pending",
  async ({ sql, pool }) => {
    const work = pool(6);
    for (let round = 0; round < ROUNDS; round++) {
      const campaign = await createCampaign(sql, { recipients: 9, onTransientError: "retry" });
      const claims = await claim(sql, { limit: 6 });
      const failed = claims.slice(0, 4).map(({ client_message_id: clientMessageId }) => clientMessageId);
      await recordSendResults(
        sql,
        failed.map((clientMessageId) => ({ clientMessageId, outcome: "failed" as const })),
      );
      const refusals: unknown[] = [];
      await atOnce<unknown>(shuffled([
        async () => await work`select public.cancel_campaign(${campaign.id})`,
        () =>
          work`select public.retry_failed_recipients(${campaign.id})`.then(
            () => {},
            (error) => refusals.push(error.code),
          ),
        async () => await work`select public.continue_steering()`,
        async () => await work`select public.continue_steering()`,
        ...claims.slice(4).map(({ client_message_id: clientMessageId }) => () =>
          recordSendResults(work, [{ clientMessageId, outcome: "deferred" }])
        ),
      ]));
      assert.ok(refusals.every((code) => code === "PT409"), `round ${round}: ${refusals}`);
      assert.equal((await campaignRow(sql, campaign.id)).status, "cancelled");
      const { pending_count, failed_count, skipped_count } = await stats(sql, campaign.id);
      assert.equal(pending_count, 0, `round ${round}`);
      // a retry that came first has made them skipped, one that came too late has changed nothing
      assert.deepEqual([failed_count, skipped_count], refusals.length > 0 ? [4, 5] : [0, 9], `round ${round}`);
    }
  },
);

databaseTest(
  "start, pause, resume and cancel at the same moment end in one of their states with rows to match",
  async ({ sql, pool }) => {
    const work = pool(6);
    const steer = (verb: string, id: string) => async () => {
      try {
        await work`select public.${work(verb)}(${id})`;
      } catch (error) {
        // refused because another was first: that is an answer
        if (!(error instanceof Error && "code" in error && error.code === "PT409")) throw error;
      }
    };
    for (let round = 0; round < ROUNDS; round++) {
      const campaign = await createCampaign(sql, { recipients: 5, status: "draft" });
      await atOnce<unknown>(shuffled([
        ...["start_campaign", "pause_campaign", "resume_campaign", "cancel_campaign"].map((verb) =>
          steer(verb, campaign.id)
        ),
        () => claim(work, { limit: 2 }),
      ]));
      assert.equal((await campaignRow(sql, campaign.id)).status, "cancelled");
      assert.equal((await stats(sql, campaign.id)).pending_count, 0, `round ${round}`);
    }
  },
);
