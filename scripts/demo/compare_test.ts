import assert from "node:assert/strict";
import { type BackendAccount, compare, type GroupsTruth } from "./compare.ts";

const memberCounts = { "1@g.us": 10, "2@g.us": 20 };

/** One group got the message, the other was refused. */
const record: GroupsTruth = {
  totals: { groups: 2, requests: 2, sends: 1, doubleSends: 0, sent: 1, failed: 1, delivered: 9, read: 6, reached: 1 },
  unexpected: [],
  groups: [
    {
      groupJid: "1@g.us",
      memberCount: 10,
      status: "sent",
      sends: [{ clientMessageId: "a", messageId: "M1", sessionId: "wa", status: "sent" }],
      rejected: 0,
      busy: 0,
      anonymous: false,
      delivered: 9,
      read: 6,
    },
    {
      groupJid: "2@g.us",
      memberCount: 20,
      status: "failed",
      sends: [],
      rejected: 1,
      busy: 0,
      anonymous: false,
      delivered: 0,
      read: 0,
    },
  ],
};

const account: BackendAccount = {
  status: "completed",
  stats: {
    total_count: 2,
    pending_count: 0,
    processing_count: 0,
    unconfirmed_count: 0,
    sent_count: 1,
    failed_count: 1,
    skipped_count: 0,
    audience_count: 30,
    reached_count: 1,
    delivered_count: 9,
    read_count: 6,
    cost: 0,
    progress: 100,
  },
  groups: [
    { id: "1", group_jid: "1@g.us", status: "sent", message_id: "M1", delivered_count: 9, read_count: 6 },
    { id: "2", group_jid: "2@g.us", status: "failed", message_id: null, delivered_count: 0, read_count: 0 },
  ],
  doubleSends: 0,
  discrepancies: [],
};

function differences(changed: Partial<BackendAccount>, truth: GroupsTruth = record): readonly string[] {
  return compare({ ...account, ...changed }, truth, memberCounts).differences;
}

Deno.test("nothing differs when the backend says what truly happened", () => {
  assert.deepEqual(differences({}), []);
});

Deno.test("each counter of the stats view is compared", () => {
  for (const [name, value] of Object.entries(account.stats)) {
    const found = differences({ stats: { ...account.stats, [name]: value + 1 } });
    assert.equal(found.length, 1, `${name} one too high gave ${JSON.stringify(found)}`);
  }
});

Deno.test("a group that differs is named when the sums agree", () => {
  const [first, second] = account.groups;
  assert.ok(first !== undefined && second !== undefined);
  assert.match(differences({ groups: [{ ...first, read_count: 5 }, second] }).join(), /1@g\.us: read is 5.*6/);
  assert.match(differences({ groups: [{ ...first, message_id: "M2" }, second] }).join(), /message id is M2.*M1/);
  assert.match(differences({ groups: [first, { ...second, status: "sent" }] }).join(), /2@g\.us: status is sent/);
  assert.match(differences({ groups: [first] }).join(), /2@g\.us: .*missing/);
});

Deno.test("a campaign that is not completed is a difference", () => {
  assert.match(differences({ status: "processing" }).join(), /campaign is processing/);
});

Deno.test("a message sent twice is a difference when both sides admit to it", () => {
  const twice = { ...record, totals: { ...record.totals, doubleSends: 1 } };
  assert.match(differences({ doubleSends: 1 }, twice).join(), /sent twice/);
});

Deno.test("what the recount finds and what webhooks answered wrongly are differences", () => {
  assert.match(differences({ discrepancies: [{ counter: "sent" }] }).join(), /recount.*sent/);
  assert.match(differences({}, { ...record, unexpected: ["answered 500"] }).join(), /answered 500/);
});
