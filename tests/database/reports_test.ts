import { parse } from "csv-parse/sync";
import fc from "fast-check";
import assert from "node:assert/strict";
import postgres from "postgres";
import { z } from "zod";
import {
  addRecipients,
  archive,
  backDate,
  type Campaign,
  claim,
  claimOne,
  createCampaign,
  createContactCampaign,
  databaseTest,
  person,
  receipt,
  recordReceipts,
  recordSendResults,
  sendOne,
  type Sql,
  statusOf,
} from "../harness/mod.ts";

const columns = [
  "recipient_id",
  "recipient",
  "status",
  "skip_reason",
  "attempt_count",
  "message_id",
  "created_at",
  "sent_at",
  "delivered_at",
  "read_at",
  "failed_at",
  "member_count",
  "delivered_count",
  "read_count",
  "failure_class",
  "error_code",
  "error_message",
  "cost",
  "currency",
  "updated_at",
];

const csvPage = z.strictObject({ csv: z.string(), next: z.string().nullable() });

async function report(sql: Sql, campaignId: string | null, after: string | null = null, limit: number | null = 1000) {
  return await sql<Record<string, unknown>[]>`
    select * from public.campaign_report(${campaignId}, ${after}, ${limit})
  `;
}

async function csv(sql: Sql, campaignId: string, after: string | null = null, limit = 1000) {
  const [row] = await sql<{ page: unknown }[]>`
    select public.campaign_report_csv(${campaignId}, ${after}, ${limit}) as page
  `;
  return csvPage.parse(row?.page);
}

/** All pages of a campaign, each a text; no more than `most`. */
async function csvPages(sql: Sql, campaignId: string, limit: number, most = 100): Promise<string[]> {
  const pages: string[] = [];
  for (let after: string | null = null; pages.length < most;) {
    const page = await csv(sql, campaignId, after, limit);
    pages.push(page.csv);
    if (page.next === null) return pages;
    after = page.next;
  }
  return assert.fail(`more than ${most} pages`);
}

/** Records of a file with a header, by a parser that is not ours. */
function records(text: string): Record<string, string>[] {
  return z.array(z.record(z.string(), z.string())).parse(parse(text, { columns: true, recordDelimiter: "\r\n" }));
}

function at(value: unknown): number {
  return value instanceof Date ? Math.trunc(value.getTime() / 1000) : assert.fail(`no time: ${value}`);
}

const code = (expected: string) => (error: unknown) =>
  error instanceof postgres.PostgresError && error.code === expected;

// ---- what a row says ----

databaseTest(
  "the report of a group tells the first person's times, whichever of its messages they had",
  async ({ sql }) => {
    const campaign = await createCampaign(sql);
    const { client_message_id: clientMessageId } = await sendOne(sql, "M1");
    await recordReceipts(sql, [
      receipt("message_delivered", "M1", person(1), { timestamp: 1_790_000_500 }),
      receipt("message_read", "M1", person(2), { timestamp: 1_790_000_300 }),
      // a second message that went out for the same claim
      receipt("message_delivered", "M2", person(3), { timestamp: 1_790_000_200, clientMessageId }),
      receipt("message_delivered", "M2", null, { timestamp: 1_790_000_100 }),
    ]);
    const [row] = await report(sql, campaign.id);
    assert.ok(row);
    assert.deepEqual(Object.keys(row), columns);
    assert.equal(row.recipient_id, campaign.only.id);
    assert.equal(row.recipient, campaign.only.recipient);
    assert.deepEqual([row.status, row.member_count, row.delivered_count, row.read_count], ["sent", 10, 3, 1]);
    assert.deepEqual([at(row.delivered_at), at(row.read_at)], [1_790_000_200, 1_790_000_300]);
    assert.equal(row.failed_at, null);
  },
);

databaseTest("the report of a delivery without a name has a count and no time", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  await sendOne(sql, "M1");
  await recordReceipts(sql, [receipt("message_delivered", "M1", null)]);
  const [row] = await report(sql, campaign.id);
  assert.deepEqual([row?.delivered_count, row?.delivered_at, row?.read_at], [1, null, null]);
});

databaseTest("the report of a message that failed later tells when, why and what it cost", async ({ sql }) => {
  const campaign = await createContactCampaign(sql, { channel: "sms" });
  await sendOne(sql, "SM1");
  await recordReceipts(sql, [
    statusOf("delivered", "SM1", { reader: "sms", timestamp: 4_000_000_000, cost: 0.0079, currency: "USD" }),
    statusOf("failed", "SM1", { reader: "sms", timestamp: 4_000_000_100, errorCode: "30005", errorMessage: "Unknown" }),
  ]);
  const [row] = await report(sql, campaign.id);
  assert.deepEqual([row?.status, row?.failure_class, row?.error_code], ["failed", "invalid_recipient", "30005"]);
  // one segment failed: it was not delivered
  assert.deepEqual([row?.delivered_at, at(row?.failed_at)], [null, 4_000_000_100]);
  assert.deepEqual([row?.cost, row?.currency], [0.0079, "USD"]);
});

databaseTest(
  "the report of a message refused at once tells when, and of one that was sent after all does not",
  async ({ sql }) => {
    const campaign = await createContactCampaign(sql, { recipients: 2 });
    const [refused, late] = await claim(sql, { limit: 2 });
    assert.ok(refused && late);
    for (const { client_message_id: clientMessageId } of [refused, late]) {
      await recordSendResults(sql, [{ clientMessageId, outcome: "failed", errorCode: "131026", errorMessage: "no" }]);
    }
    await recordReceipts(sql, [statusOf("delivered", "M2", { clientMessageId: late.client_message_id })]);
    const rows = await report(sql, campaign.id);
    const of = (id: string) => rows.find((row) => row.recipient_id === id);
    const [{ now } = { now: 0 }] = await sql<{ now: number }[]>`select extract(epoch from now())::float8 as now`;
    assert.ok(Math.abs(at(of(refused.recipient_id)?.failed_at) - now) < 60);
    assert.deepEqual([of(late.recipient_id)?.status, of(late.recipient_id)?.failed_at], ["sent", null]);
  },
);

// ---- pages ----

/** How many rows of each table a session has read so far, since it last told the statistics; one transaction sees both. */
async function rowsRead(session: Pick<Sql, "unsafe">): Promise<Record<string, number>> {
  const tables = await session.unsafe<{ relname: string; rows: number }[]>(`
    select regexp_replace(t.relname, '^message_receipts_\\d+$', 'message_receipts') as relname,
      sum(t.seq_tup_read + coalesce(t.idx_tup_fetch, 0))::integer as rows
    from pg_catalog.pg_stat_xact_user_tables t
    group by 1
  `);
  return Object.fromEntries(tables.map(({ relname, rows }) => [relname, rows]));
}

databaseTest(
  "pages of a report hold every recipient once and in order, whatever the size of a page",
  async ({ sql }) => {
    const campaign = await createCampaign(sql, {
      status: "draft",
      recipients: ["b", "a", "ä", "Z", "z", "é", " a", "'a", "A", "\u200b", "ß", "10", "9", "a,b", 'a"b', "日本"].map((
        recipient,
      ) => ({
        recipient,
      })),
    });
    await createCampaign(sql, { status: "draft", recipients: 5 });
    const whole = (await report(sql, campaign.id)).map(({ recipient }) => recipient);
    assert.deepEqual([...whole].sort(), campaign.recipients.map(({ recipient }) => recipient).sort());
    for (const limit of [1, 3, 8, 16, 17]) {
      const paged: unknown[] = [];
      for (let after: string | null = null; paged.length <= whole.length;) {
        const page: Record<string, unknown>[] = [...await report(sql, campaign.id, after, limit)];
        paged.push(...page.map(({ recipient }) => recipient));
        if (page.length < limit) break;
        after = z.string().parse(page.at(-1)?.recipient);
      }
      assert.deepEqual(paged, whole, `pages of ${limit}`);
    }
  },
);

databaseTest("a page begins after a recipient that is gone, and repeats nobody when others come", async ({ sql }) => {
  const campaign = await createCampaign(sql, {
    status: "draft",
    recipients: ["a", "c", "e", "g"].map((recipient) => ({ recipient })),
  });
  const first = (await report(sql, campaign.id, null, 2)).map(({ recipient }) => recipient);
  await sql`delete from public.notification_campaign_recipients where campaign_id = ${campaign.id} and recipient = 'c'`;
  await addRecipients(sql, campaign.id, [{ recipient: "b" }, { recipient: "d" }]);
  const rest = (await report(sql, campaign.id, "c", 10)).map(({ recipient }) => recipient);
  assert.deepEqual([first, rest], [["a", "c"], ["d", "e", "g"]]);
});

databaseTest("a report refuses a page that is too large or none, and a campaign that is not there", async ({ sql }) => {
  const campaign = await createCampaign(sql, { status: "draft" });
  for (const limit of [0, -1, 1001, null]) {
    await assert.rejects(report(sql, campaign.id, null, limit), code("22023"));
    await assert.rejects(
      sql`select public.campaign_report_csv(${campaign.id}, null, ${limit})`,
      code("22023"),
    );
  }
  for (const id of [crypto.randomUUID(), null]) {
    await assert.rejects(report(sql, id), code("PT404"));
    for (const name of ["campaign_report_csv", "failure_summary", "campaign_costs"]) {
      await assert.rejects(sql`select public.${sql(name)}(${id})`, code("PT404"));
    }
  }
});

databaseTest(
  "a page reads no more than itself, at the start and the end, whatever the planner takes the tables for",
  async ({ sql, pool }) => {
    const campaign = await createCampaign(sql, { status: "draft", recipients: 1 });
    const early = pool(1);
    // plans of empty tables, kept for the session
    await early`select from public.campaign_report(${campaign.id}, null, 20)`;
    await early`select public.campaign_report_csv(${campaign.id}, null, 20)`;
    await sql.begin(async (transaction) => {
      await transaction`set local session_replication_role = replica`;
      await transaction`
        insert into public.notification_campaign_recipients (campaign_id, recipient, status, message_id, sent_at)
        select ${campaign.id}, 'r' || lpad(i::text, 6, '0'), 'sent', 'm' || i, now() from generate_series(1, 4000) i
      `;
      await transaction`
        insert into private.message_ids (message_id, recipient_id)
        select r.message_id, r.id from public.notification_campaign_recipients r where r.message_id is not null
      `;
      await transaction`
        insert into public.message_receipts (message_id, reader, recipient_id, delivered_at)
        select i.message_id, 'reader ' || n, i.recipient_id, now() from private.message_ids i, generate_series(1, 3) n
      `;
    });
    // and plans of a thousand times as much of which nothing is known, as after a large import
    await sql`
      update pg_catalog.pg_class c
      set reltuples = 4000000, relpages = greatest(1, pg_relation_size(c.oid) / 8192)
      where c.relname in ('notification_campaign_recipients', 'message_ids', 'message_receipts') and c.relkind = 'r'
    `;
    for (const session of [early, pool(1)]) {
      for (const after of ["r000000", "r002000", "r003979"]) {
        for (const name of ["campaign_report", "campaign_report_csv"]) {
          const [before, rows] = await session.begin(async (transaction) => {
            const soFar = await rowsRead(transaction);
            await transaction`select from public.${transaction(name)}(${campaign.id}, ${after}, 20)`;
            return [soFar, await rowsRead(transaction)] as const;
          });
          for (const [relation, count] of Object.entries(before)) rows[relation] = (rows[relation] ?? 0) - count;
          const said = `${name} after ${after}: ${JSON.stringify(rows)}`;
          assert.deepEqual([rows.message_ids, rows.message_receipts], [20, 60], said);
          assert.ok((rows.notification_campaign_recipients ?? 0) <= 22, said);
        }
      }
    }
  },
  { leavesDiscrepancies: true },
);

// ---- CSV ----

databaseTest("the pages of a CSV report are one file, with one header and every row", async ({ sql }) => {
  const campaign = await createCampaign(sql, { status: "draft", recipients: 6 });
  const expected = (await report(sql, campaign.id)).map(({ recipient }) => recipient);
  for (const [limit, count] of [[1, 6], [2, 3], [4, 2], [6, 1], [7, 1]] as const) {
    const pages = await csvPages(sql, campaign.id, limit);
    assert.equal(pages.length, count, `pages of ${limit}`);
    assert.equal(pages[0]?.split("\r\n")[0], columns.join(","));
    assert.ok(pages.every((page) => page.endsWith("\r\n")));
    assert.deepEqual(records(pages.join("")).map(({ recipient }) => recipient), expected);
  }
});

databaseTest("the CSV report of a campaign without recipients is its header", async ({ sql }) => {
  const campaign = await createCampaign(sql, { status: "draft", recipients: 0 });
  assert.deepEqual(await csv(sql, campaign.id), { csv: `${columns.join(",")}\r\n`, next: null });
  assert.deepEqual(await csv(sql, campaign.id, "x"), { csv: "", next: null });
});

databaseTest(
  "a CSV report writes numbers as numbers, times in UTC, and nothing where nothing is known",
  async ({ sql }) => {
    const campaign = await createContactCampaign(sql, { recipients: ["4915112345678"] });
    await sql`
    update public.notification_campaign_recipients
    set sent_at = '2026-11-22 18:30:05.25+02', cost = 0.0500, currency = 'EUR', updated_at = '2026-01-01 00:00:00Z'
    where id = ${campaign.only.id}
  `;
    await sql`set time zone 'Asia/Kolkata'`;
    const [row] = records((await csv(sql, campaign.id)).csv);
    assert.ok(row);
    const { recipient_id, created_at, updated_at: _later, ...rest } = row;
    assert.equal(recipient_id, campaign.only.id);
    assert.match(created_at ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.deepEqual(rest, {
      recipient: "4915112345678",
      status: "pending",
      skip_reason: "",
      attempt_count: "0",
      message_id: "",
      sent_at: "2026-11-22T16:30:05.250Z",
      delivered_at: "",
      read_at: "",
      failed_at: "",
      member_count: "1",
      delivered_count: "0",
      read_count: "0",
      failure_class: "",
      error_code: "",
      error_message: "",
      cost: "0.05",
      currency: "EUR",
    });
  },
);

/** The characters of the rule, written down a second time. */
const FORMULA = "[=+@＝＋－＠﹢﹣﹦﹫−⁺⁻⁼₊₋₌-]";
const BLANK =
  '[\\u0001-\\u0009\\u000b\\u000c\\u000e-\\u0020"\\u007f-\\u00a0\\u00ad\\u200b-\\u200f\\u2028\\u3000\\ufeff]';
const BLANK_OR_APOSTROPHE = BLANK.replace("[", "['");

/** The text again: one apostrophe less at each place that needed one. */
function withoutGuards(field: string): string {
  const formula = `${BLANK_OR_APOSTROPHE}*${FORMULA}`;
  return field
    .replace(new RegExp(`^(?!${formula})'(?='*[\\t\\r\\n])`, "u"), "")
    .replace(new RegExp(`(^|[;\\r\\n])'(?=${formula})`, "gu"), "$1");
}

/** Fields as a spreadsheet sees them that splits at semicolons, too, and drops what it does not show. */
function looksLikeFormula(field: string): boolean {
  return /^[\t\r\n]/u.test(field) ||
    field.split(/[;\r\n]/u).some((cell) => new RegExp(`^${BLANK}*${FORMULA}`, "u").test(cell));
}

async function fieldsOf(sql: Sql, texts: readonly string[]): Promise<string[]> {
  const [row] = await sql<{ line: string }[]>`
    select string_agg(private.csv_field(t.text), ',' order by t.place) as line
    from jsonb_array_elements_text(${JSON.stringify(texts)}::text::jsonb) with ordinality as t (text, place)
  `;
  const [fields, ...more] = z.array(z.array(z.string())).parse(
    parse(`${row?.line ?? ""}\r\n`, { recordDelimiter: "\r\n", skipEmptyLines: false }),
  );
  assert.deepEqual(more, [], "one line is one record");
  return fields ?? [];
}

databaseTest(
  "a CSV field that a spreadsheet would take for a formula begins with an apostrophe, and no other does",
  async ({ sql }) => {
    const guarded: readonly (readonly [text: string, field: string])[] = [
      ["=1+1", "'=1+1"],
      ["+4915112345678", "'+4915112345678"],
      ["-2", "'-2"],
      ["@SUM(A1)", "'@SUM(A1)"],
      ["\t=1", "'\t=1"],
      ["\rx", "'\rx"],
      ["\nx", "'\nx"],
      [" =1", "' =1"],
      ["\u00a0\u200b=1", "'\u00a0\u200b=1"],
      ["\ufeff=1", "'\ufeff=1"],
      ['"=1', "'\"=1"],
      ["＝1", "'＝1"],
      ["＋1", "'＋1"],
      ["－1", "'－1"],
      ["＠x", "'＠x"],
      ["a;=1", "a;'=1"],
      ["a\r\n=1", "a\r\n'=1"],
      ["a,b\n -1", "a,b\n' -1"],
      // one that was there is kept
      ["'=1", "''=1"],
    ];
    assert.deepEqual(await fieldsOf(sql, guarded.map(([text]) => text)), guarded.map(([, field]) => field));
    const plain = [
      "120363040000000001@g.us",
      "wamid.HBg=",
      "a=b",
      "it's",
      "'quoted'",
      'say "x", please',
      "a;b",
      "two\r\nlines",
      " blank ",
      "日本",
      "",
      "1-2",
    ];
    assert.deepEqual(await fieldsOf(sql, plain), plain);
  },
);

databaseTest(
  "every text comes back from CSV, less the apostrophes, and none of its fields is a formula",
  async ({ sql }) => {
    const piece = fc.constantFrom(..."=+-@＝＋－＠−\t\r\n\"',; \u00a0\ufeff\u200b;aZ0é日|%", "\r\n", '","', "😀");
    const text = fc.oneof(
      fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join("")),
      fc.string({ unit: "grapheme", maxLength: 20 }).filter((each) => !each.includes("\0")),
    );
    await fc.assert(
      // many texts a round trip
      fc.asyncProperty(fc.array(text, { minLength: 40, maxLength: 40 }), async (texts) => {
        const fields = await fieldsOf(sql, texts);
        assert.deepEqual(fields.map(withoutGuards), texts);
        assert.deepEqual(fields.filter(looksLikeFormula), []);
      }),
      { numRuns: 100 },
    );
  },
);

databaseTest("whatever a row holds comes back from the CSV report", async ({ sql }) => {
  const texts = ["=1+1", 'a "b", c', "+49 151", "x\r\ny", "\t", "plain", "；=1", "a;@b"];
  const campaign = await createCampaign(sql, {
    status: "draft",
    recipients: texts.filter((text) => /\S/.test(text)).map((recipient) => ({ recipient })),
  });
  for (const [index, { id }] of campaign.recipients.entries()) {
    const text = texts[index % texts.length] ?? "";
    await sql`
      update public.notification_campaign_recipients
      set status = 'skipped', skip_reason = ${text}, error_code = ${text}, error_message = ${text}, currency = ${text},
        message_id = ${`${text} ${index}`}
      where id = ${id}
    `;
  }
  const stored = await report(sql, campaign.id);
  const read = records((await csvPages(sql, campaign.id, 3)).join(""));
  assert.equal(read.length, stored.length);
  for (const [index, row] of read.entries()) {
    for (const name of ["recipient", "skip_reason", "message_id", "error_code", "error_message", "currency"]) {
      assert.equal(withoutGuards(row[name] ?? ""), stored[index]?.[name], name);
    }
  }
});

// ---- sums ----

databaseTest("failure_summary tells why messages failed or were skipped, the most frequent first", async ({ sql }) => {
  const campaign = await createContactCampaign(sql, { recipients: 9 });
  const fail = async (index: number, errorCode: string | null, failureClass: string | null, message: string | null) => {
    await sql`
      update public.notification_campaign_recipients
      set status = 'failed', error_code = ${errorCode}, failure_class = ${failureClass}, error_message = ${message}
      where id = ${campaign.recipients[index]?.id ?? ""}
    `;
  };
  for (const index of [0, 1, 2]) await fail(index, "131026", "invalid_recipient", `undeliverable ${index}`);
  await fail(3, "99999", "unknown", "what");
  await fail(4, null, null, null);
  const skip = async (index: number, reason: string) => {
    await sql`
      update public.notification_campaign_recipients set status = 'skipped', skip_reason = ${reason}
      where id = ${campaign.recipients[index]?.id ?? ""}
    `;
  };
  for (const index of [5, 6]) await skip(index, "opted_out");
  await skip(7, "invalid_phone_number");
  const summary = await sql`select * from public.failure_summary(${campaign.id})`;
  const nothing = { failure_class: null, error_code: null, skip_reason: null, action: null, example_message: null };
  assert.deepEqual([...summary], [
    {
      ...nothing,
      failure_class: "invalid_recipient",
      error_code: "131026",
      meaning: "Meta: undeliverable: not on WhatsApp, or unable to receive it",
      action: "give_up",
      recipient_count: 3,
      example_message: "undeliverable 0",
    },
    {
      ...nothing,
      skip_reason: "opted_out",
      meaning: "The recipient had asked for no more of these messages.",
      recipient_count: 2,
    },
    {
      ...nothing,
      failure_class: "unknown",
      error_code: "99999",
      meaning: "Nobody has sorted this code yet.",
      action: "give_up",
      recipient_count: 1,
      example_message: "what",
    },
    {
      ...nothing,
      failure_class: "unknown",
      meaning: "Nobody has sorted this code yet.",
      action: "give_up",
      recipient_count: 1,
    },
    {
      ...nothing,
      skip_reason: "invalid_phone_number",
      meaning: "no phone number that could be called",
      recipient_count: 1,
    },
  ]);
});

databaseTest("failure_summary of a campaign on which nothing failed is empty", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  await claimOne(sql);
  assert.deepEqual([...await sql`select * from public.failure_summary(${campaign.id})`], []);
});

databaseTest("campaign_costs keeps currencies apart, which the counter adds up", async ({ sql }) => {
  const campaign = await createContactCampaign(sql, { recipients: 5 });
  const price = async ({ recipients }: Campaign, index: number, cost: number | null, currency: string | null) => {
    await sql`
      update public.notification_campaign_recipients set cost = ${cost}, currency = ${currency}
      where id = ${recipients[index]?.id ?? ""}
    `;
  };
  await price(campaign, 0, 0.05, "EUR");
  await price(campaign, 1, 0, "EUR");
  await price(campaign, 2, 0.0079, "USD");
  await price(campaign, 3, 1, null);
  assert.deepEqual([...await sql`select * from public.campaign_costs(${campaign.id})`], [
    { currency: "EUR", message_count: 2, cost: 0.05 },
    { currency: "USD", message_count: 1, cost: 0.0079 },
    { currency: null, message_count: 1, cost: 1 },
  ]);
  const [counter] = await sql`select cost from public.notification_campaign_stats where campaign_id = ${campaign.id}`;
  assert.equal(counter?.cost, 1.0579);
});

databaseTest("an archived campaign has counters and no report, which says so", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  await recordSendResults(sql, [{ clientMessageId: (await claimOne(sql)).client_message_id, outcome: "sent" }]);
  await backDate(sql, campaign.id);
  await archive(sql);
  for (const rpc of ["campaign_report", "campaign_report_csv", "failure_summary", "campaign_costs"]) {
    await assert.rejects(() => sql`select * from public.${sql(rpc)}(${campaign.id})`, {
      code: "PT410",
      message: /was archived on \d{4}-\d\d-\d\d/,
      hint: /notification_campaign_stats/,
    });
  }
  const [stats] =
    await sql`select sent_count from public.notification_campaign_stats where campaign_id = ${campaign.id}`;
  assert.equal(Number(stats?.sent_count), 1);
});
