import type { Sql } from "postgres";
import { bootstrapPlatform } from "../local/bootstrap.ts";
import { applyMigrations } from "../local/migrations.ts";

/** Makes another database with the same schema on the same server; answers its address. */
export async function openSecondDatabase(sql: Sql, url: string, name: string): Promise<string> {
  await sql.unsafe(`drop database if exists ${name} with (force)`);
  await sql.unsafe(`create database ${name} template template0`);
  const address = new URL(url);
  address.pathname = `/${name}`;
  await bootstrapPlatform(address.href);
  await applyMigrations(address.href);
  return address.href;
}
