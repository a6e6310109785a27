import assert from "node:assert/strict";
import { inRepository } from "../../local/repository.ts";

const TIMEOUT_MS = 30_000;
const GOOD = "postgresql://postgres:hunter2@127.0.0.1:1/postgres";
const MALFORMED = "postgresq//postgres:hunter2@127.0.0.1:1/postgres";
const CAMPAIGN = "00000000-0000-4000-8000-000000000001";

async function run(args: readonly string[], env: Record<string, string>): Promise<{ code: number; said: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", ...args],
    env: { NO_COLOR: "1", ...env },
    cwd: inRepository(),
    stdin: "null",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  }).output();
  const decoder = new TextDecoder();
  return { code, said: decoder.decode(stdout) + decoder.decode(stderr) };
}

for (
  const [name, args, failure] of [
    ["counters:check", ["scripts/counters.ts", "check"], 2],
    ["counters:repair", ["scripts/counters.ts", "repair"], 2],
    ["events:replay", ["scripts/events.ts", "replay"], 1],
    ["recipients:import", ["scripts/recipients.ts", "import", "people.csv", "--campaign", CAMPAIGN], 1],
  ] as const
) {
  Deno.test(`${name} shows no password of DATABASE_URL in its help`, async () => {
    const { code, said } = await run([...args, "--help"], { DATABASE_URL: GOOD });
    assert.equal(code, 0, said);
    assert.match(said, /--database-url <url>.*DATABASE_URL/);
    assert.ok(!said.includes("hunter2"), said);
  });

  for (
    const [where, more, env] of [
      ["DATABASE_URL", [], MALFORMED],
      ["--database-url", ["--database-url", MALFORMED], GOOD],
    ] as const
  ) {
    Deno.test(`${name} refuses a malformed address in ${where}, and does not quote it`, async () => {
      const { code, said } = await run([...args, ...more], { DATABASE_URL: env });
      assert.equal(code, failure, said);
      assert.match(said, /address is written postgresql:\/\/user/);
      assert.ok(!said.includes("hunter2"), said);
    });
  }
}
