import { inRepository } from "../../local/repository.ts";
import { type Session, type Sql, until } from "../harness/mod.ts";

/** Tries that make_unique.sql has, too. */
const MAX_STEPS = 50;

/** The scripts of supabase/adopt that the SQL editor can run, in order. */
export const scripts = ["duplicates.sql", "set_aside.sql", "moving.sql"] as const;

/** Runs a script of supabase/adopt as the SQL editor does: as one text. */
export async function runScript(sql: Sql, name: (typeof scripts)[number]): Promise<void> {
  await sql.unsafe(await Deno.readTextFile(inRepository("supabase", "adopt", name))).simple();
}

/** Names a column whose ids are to be unique; its number. */
export async function addTarget(
  sql: Sql,
  table: string,
  column: string,
  options: { readonly scopeColumns?: readonly string[]; readonly firstBy?: string } = {},
): Promise<number> {
  const [row] = await sql<{ id: number }[]>`
    select adopt.add_target(
      ${table}::regclass, ${column}, ${[...options.scopeColumns ?? []]}::name[], ${options.firstBy ?? null}
    ) as id
  `;
  if (row === undefined) throw new Error("add_target answered nothing");
  return row.id;
}

/** Removes the duplicates of all targets, without making anything unique. */
export async function removeDuplicates(client: Sql, batch = 500): Promise<void> {
  await client.unsafe(`call adopt.remove_duplicates(null, ${batch})`).simple();
}

/** Moves a send queue into recipients. */
export async function moveSendQueue(client: Sql, from: string, chunk = 1_000): Promise<void> {
  await client.unsafe(`call adopt.move_send_queue('${from}', ${chunk})`).simple();
}

/** Moves messages into conversations. */
export async function moveChatMessages(client: Sql, from: string, chunk = 1_000): Promise<void> {
  await client.unsafe(`call adopt.move_chat_messages('${from}', ${chunk})`).simple();
}

/**
 * What make_unique.sql does, for machines without psql: the steps one by one, a failed index like any other.
 *
 * @param client one connection, outside a transaction
 * @returns the steps that were run, in order
 */
export async function makeUnique(client: Sql): Promise<string[]> {
  const steps = ["call adopt.remove_duplicates()"];
  await client.unsafe("call adopt.remove_duplicates()").simple();
  while (steps.length <= MAX_STEPS) {
    const [row] = await client<{ step: string | null }[]>`select adopt.next_step() as step`;
    const step = row?.step ?? null;
    if (step === null) return steps;
    steps.push(step);
    try {
      await client.unsafe(step).simple();
    } catch (error) {
      // a duplicate came in while the index was made, or somebody was writing: the next step deals with it
      if (!isDuplicate(error) && !isLockTimeout(error)) throw error;
    }
  }
  throw new Error(`Not unique after ${MAX_STEPS} steps`);
}

/** Ends a session's backend as an operator, or a crash of its client, would. */
export async function kill(sql: Sql, { pid }: Session): Promise<void> {
  await sql`select pg_terminate_backend(${pid})`;
  await until(
    "the backend to be gone",
    async () => (await sql`select from pg_catalog.pg_stat_activity where pid = ${pid}`).length === 0,
  );
}

/** Whether Postgres refused a value because it is there already. */
export function isDuplicate(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "23505";
}

function isLockTimeout(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "55P03";
}
