// deno-lint-ignore-file no-console -- a command of the terminal
import Table from "cli-table3";
import { Command } from "commander";
import color from "picocolors";
import postgres from "postgres";

const LOCAL = "postgresql://postgres:postgres@127.0.0.1:54322/postgres";

interface Discrepancy {
  campaign_id: string;
  recipient_id: string | null;
  counter: string;
  stored: string;
  actual: string;
}

const program = new Command("counters")
  .description("Recount counters from rows and receipts. Exits 1 while something differs.")
  .option("--database-url <url>", "which database", Deno.env.get("DATABASE_URL") ?? LOCAL)
  .option("--campaign <id>", "one campaign; default: all");
program.command("check").description("say what differs").action(() => run("audit_campaign_counters"));
program.command("repair").description("mend what differs").action(() => run("repair_campaign_counters"));
await program.parseAsync(Deno.args, { from: "user" });

async function run(rpc: "audit_campaign_counters" | "repair_campaign_counters"): Promise<void> {
  const options = program.opts<{ databaseUrl: string; campaign?: string }>();
  const sql = postgres(options.databaseUrl, { max: 1, connect_timeout: 10, onnotice: () => {} });
  try {
    const found = await sql<Discrepancy[]>`
      select campaign_id, recipient_id, counter, stored, actual from ${sql(`public.${rpc}`)}(${
      options.campaign ?? null
    })`;
    if (found.length === 0) {
      console.log(color.green("Every counter equals its rows."));
      return;
    }
    const table = new Table({ head: ["campaign", "recipient", "counter", "stored", "actual"], style: { head: [] } });
    for (const row of found) {
      table.push([row.campaign_id, row.recipient_id ?? "", row.counter, row.stored, row.actual]);
    }
    console.log(table.toString());
    const repaired = rpc === "repair_campaign_counters";
    console.log(
      repaired
        ? color.green(`${found.length} mended.`)
        : `${found.length} differ. Mend them: deno task counters:repair`,
    );
    if (!repaired) Deno.exitCode = 1;
  } catch (error) {
    const { host } = new URL(options.databaseUrl);
    console.error(`Cannot recount on ${host}: ${error instanceof Error ? error.message : error}`);
    Deno.exitCode = 1;
  } finally {
    await sql.end({ timeout: 5 });
  }
}
