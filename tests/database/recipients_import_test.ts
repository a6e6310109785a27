import assert from "node:assert/strict";
import { importRecipients, type ImportReport } from "../../scripts/recipients/import_recipients.ts";
import { repositoryRoot } from "../../local/repository.ts";
import { createCampaign, databaseTest, groupJid, stats } from "../harness/mod.ts";

async function withFile<T>(lines: readonly string[], work: (file: string) => Promise<T>): Promise<T> {
  const file = await Deno.makeTempFile({ suffix: ".csv" });
  try {
    await Deno.writeTextFile(file, lines.join("\r\n"));
    return await work(file);
  } finally {
    await Deno.remove(file);
  }
}

const number = (place: number) => `+4915${1_000_000_000 + place}`;
const rows = (count: number) => Array.from({ length: count }, (_, place) => `${number(place)},name ${place}`);
const figures = ({ read, added, duplicates, otherSpellings, refused }: ImportReport) => ({
  read,
  added,
  duplicates,
  otherSpellings,
  refused,
});

const mixed = [
  "\ufeffPhone,name",
  ...rows(5),
  `${number(0)},twice`,
  `${number(1).slice(1)},in another spelling`,
  "hello,nobody",
  `'${number(5)},"of two\r\nlines"`,
  `${number(6)}`,
];
const mixedFigures = { read: 10, added: 6, duplicates: 1, otherSpellings: 1, refused: 2 };
const mixedRefusals = [
  {
    line: 9,
    recipient: "hello",
    reason: "is not a phone number; write it with its country code, such as +14155550123",
  },
  { line: 12, recipient: number(6), reason: "has 1 columns where the header has 2" },
];

databaseTest("an import adds every good row once, and names the others by line", async ({ sql, url }) => {
  const campaign = await createCampaign(sql, { channel: "whatsapp", status: "draft", recipients: 0 });
  await withFile(mixed, async (file) => {
    const options = { file, campaignId: campaign.id, databaseUrl: url, column: null, dryRun: false, chunkSize: 3 };
    const preview = await importRecipients({ ...options, dryRun: true });
    assert.deepEqual([figures(preview), preview.refusals, preview.end], [mixedFigures, mixedRefusals, null]);
    assert.equal((await stats(sql, campaign.id)).total_count, 0, "a dry run changes nothing");

    const report = await importRecipients(options);
    assert.deepEqual([figures(report), report.refusals, report.end], [mixedFigures, mixedRefusals, null]);
    const again = { ...mixedFigures, added: 0, duplicates: 8, otherSpellings: 0 };
    assert.deepEqual(figures(await importRecipients({ ...options, dryRun: true })), again);
    assert.deepEqual(figures(await importRecipients(options)), again);
  });
  const stored = await sql`
    select recipient, variables ->> 'name' as name, status from public.notification_campaign_recipients
    where campaign_id = ${campaign.id} and recipient in (${number(1).slice(1)}, ${number(5)})
    order by recipient collate "C"
  `;
  assert.deepEqual([...stored], [
    { recipient: number(5), name: "of two\nlines", status: "pending" },
    { recipient: number(1).slice(1), name: "in another spelling", status: "skipped" },
  ]);
});

databaseTest("an import of groups takes their members along", async ({ sql, url }) => {
  const campaign = await createCampaign(sql, { status: "draft", recipients: 0 });
  const jid = groupJid();
  await withFile(["group_jid;member_count;city", `${jid};12;Pune`, "+4915112345678;3;Pune"], async (file) => {
    const report = await importRecipients({
      file,
      campaignId: campaign.id,
      databaseUrl: url,
      column: null,
      dryRun: false,
    });
    assert.deepEqual(figures(report), { read: 2, added: 1, duplicates: 0, otherSpellings: 0, refused: 1 });
  });
  const [row] = await sql`
    select recipient, member_count, variables from public.notification_campaign_recipients where campaign_id = ${campaign.id}
  `;
  assert.deepEqual(row, { recipient: jid, member_count: 12, variables: { city: "Pune" } });
});

databaseTest("a file that cannot be read to its end adds nothing, and says the line", async ({ sql, url }) => {
  const campaign = await createCampaign(sql, { channel: "sms", status: "draft", recipients: 0 });
  await withFile(["phone,name", ...rows(50), `${number(50)},"never closed`, ...rows(5)], async (file) => {
    const report = await importRecipients({
      file,
      campaignId: campaign.id,
      databaseUrl: url,
      column: null,
      dryRun: false,
      chunkSize: 10,
    });
    assert.deepEqual([report.read, report.added, report.end?.takenThroughLine], [50, 0, 0]);
    assert.match(report.end?.reason ?? "", /^Line 52: .* never closed$/);
  });
  assert.equal((await stats(sql, campaign.id)).total_count, 0);
});

databaseTest(
  "an import that fails midway says through which line the file is in, and goes on when run again",
  async ({ sql, url }) => {
    const campaign = await createCampaign(sql, { channel: "whatsapp", status: "draft", recipients: 0 });
    await sql.unsafe(`
    create function public.planted() returns trigger language plpgsql as $$
    begin
      if new.recipient = '${number(25)}' then raise exception 'the disk is full' using errcode = '53100'; end if;
      return new;
    end $$;
    create trigger planted before insert on public.notification_campaign_recipients
      for each row execute function public.planted();
  `);
    await withFile(["phone,name", ...rows(40)], async (file) => {
      const options = { file, campaignId: campaign.id, databaseUrl: url, column: null, dryRun: false, chunkSize: 10 };
      const report = await importRecipients(options);
      assert.deepEqual(report.end, {
        reason: "the database refused: the disk is full (53100)",
        takenThroughLine: 21,
        unsureThroughLine: null,
      });
      assert.deepEqual([report.added, (await stats(sql, campaign.id)).total_count], [20, 20]);
      await sql`drop trigger planted on public.notification_campaign_recipients`;
      const again = await importRecipients(options);
      assert.deepEqual([again.added, again.duplicates, again.end], [20, 20, null]);
    });
  },
);

databaseTest(
  "an import that is interrupted, or whose campaign is cancelled, ends behind a whole chunk",
  async ({ sql, url }) => {
    for (const way of ["interrupted", "cancelled"] as const) {
      const campaign = await createCampaign(sql, { channel: "whatsapp", status: "draft", recipients: 0 });
      const interruption = new AbortController();
      await withFile(["phone,name", ...rows(40)], async (file) => {
        if (way === "cancelled") {
          await sql.unsafe(`
          create function public.planted() returns trigger language plpgsql as $$
          begin
            update public.notification_campaigns set status = 'cancelled' where id = '${campaign.id}';
            return null;
          end $$;
          create trigger planted after insert on public.notification_campaign_recipients
            for each statement execute function public.planted();
        `);
        }
        const { end, added } = await importRecipients({
          file,
          campaignId: campaign.id,
          databaseUrl: url,
          column: null,
          dryRun: false,
          chunkSize: 10,
          signal: interruption.signal,
          onProgress: ({ stage }) => stage === "adding" && interruption.abort(),
        });
        if (way === "interrupted") {
          assert.deepEqual([end?.reason, end?.takenThroughLine, added], ["it was interrupted", 11, 10]);
        } else {
          assert.match(end?.reason ?? "", /a campaign that is cancelled cannot be given recipients/);
          assert.deepEqual([end?.takenThroughLine, end?.unsureThroughLine, added], [0, null, 0]);
        }
        assert.equal((await stats(sql, campaign.id)).total_count, added);
      });
    }
  },
);

async function run(url: string, file: string, id: string, ...more: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-check",
      "scripts/recipients.ts",
      "import",
      file,
      "--campaign",
      id,
      "--database-url",
      url,
      ...more,
    ],
    cwd: repositoryRoot,
    signal: AbortSignal.timeout(30_000),
  }).output();
  const text = (bytes: Uint8Array<ArrayBuffer>) => new TextDecoder().decode(bytes);
  return { code, said: text(stdout), complained: text(stderr) };
}

databaseTest(
  "recipients:import exits 1 with the lines that were refused, 0 without, and 1 where it cannot begin",
  async ({ sql, url }) => {
    const campaign = await createCampaign(sql, { channel: "whatsapp", status: "draft", recipients: 0 });
    await withFile(["mobile,name", ...rows(2), "hello,x"], async (file) => {
      const { code, said } = await run(url, file, campaign.id, "--column", "mobile", "--json");
      const { added, refusals, isComplete } = JSON.parse(said);
      assert.deepEqual([code, added, refusals[0]?.line, isComplete], [1, 2, 4, true]);
    });
    await withFile(["phone,name", ...rows(2)], async (file) => {
      const { code, said } = await run(url, file, campaign.id);
      assert.equal(code, 0, said);
      assert.match(said, /duplicates\D+2/);
      const unknown = await run(url, file, crypto.randomUUID());
      assert.deepEqual([unknown.code, unknown.said], [1, ""]);
      assert.match(unknown.complained, /there is no campaign/);
      const gone = await run(url, `${file}.gone`, campaign.id);
      assert.deepEqual([gone.code, gone.said], [1, ""]);
      assert.match(gone.complained, /Cannot import .*\.gone: .*os error 2/);
    });
  },
);

databaseTest("recipients:import keeps to itself what the database quotes of its rows", async ({ sql, url }) => {
  const campaign = await createCampaign(sql, { status: "draft", recipients: 0 });
  await sql.unsafe(`
    alter table public.notification_campaigns rename to renamed_campaigns;
    create function public.planted() returns text language plpgsql as $$
    begin
      raise exception 'to +919870000001';
    end $$;
    create view public.notification_campaigns as
      select c.id, c.status, public.planted() as channel from public.renamed_campaigns c;
  `);
  await withFile(["group_jid", groupJid()], async (file) => {
    const { code, said, complained } = await run(url, file, campaign.id);
    assert.deepEqual([code, said], [1, ""]);
    assert.match(complained, /Cannot import .*: SQLSTATE P0001/);
    assert.ok(!complained.includes("91987"), complained);
  });
  await sql.unsafe(`
    drop view public.notification_campaigns;
    alter table public.renamed_campaigns rename to notification_campaigns;
  `);
});
