import { equal } from "node:assert/strict";
import { toPostgrestAnswer } from "./postgrest_errors.ts";

const lite = () => Response.json({ code: "SUP", message: "Error" }, { status: 500 });

async function answer(code: string, message = "m"): Promise<string> {
  const answered = await toPostgrestAnswer(Object.assign(new Error(message), { code }), lite());
  return `${answered.status} ${(await answered.json()).code}`;
}

Deno.test("database error keeps its code and gets PostgREST's status", async () => {
  equal(await answer("P0001"), "400 P0001");
  equal(await answer("TT001"), "400 TT001");
  equal(await answer("P0002"), "500 P0002");
  equal(await answer("23503"), "409 23503");
  equal(await answer("40001"), "500 40001");
  equal(await answer("42883"), "404 42883");
  equal(await answer("57014"), "500 57014");
  equal(await answer("22023", 'role "x" does not exist'), "401 22023");
});

Deno.test("lost connection is the server's fault", async () => {
  for (const code of ["ECONNREFUSED", "CONNECTION_CLOSED", "CONNECT_TIMEOUT", "57P01", "57P03", "08006"]) {
    equal(await answer(code), "503 PGRST001");
  }
});

Deno.test("busy pool is a timeout of the server", async () => {
  equal(await answer("POOL_EXHAUSTED"), "504 PGRST003");
});

Deno.test("answers that name no database error stay as they are", async () => {
  const given = lite();
  equal(await toPostgrestAnswer(new Error("no code"), given), given);
});
