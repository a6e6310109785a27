import { z } from "zod";

const testStackSchema = z.object({
  /** Front door of the one stack that all tests share. */
  apiUrl: z.string(),
  /** Its database: for tests over HTTP. Tests of the database take a copy of their own. */
  databaseUrl: z.string(),
  /** A migrated, empty database that nothing connects to, to be copied. */
  template: z.string(),
  simulatorUrl: z.string(),
  publishableKey: z.string(),
  secretKey: z.string(),
  /** What the functions see. */
  env: z.record(z.string(), z.string()).readonly(),
}).readonly();

/** Where the stack of this test run is. */
export type TestStack = z.infer<typeof testStackSchema>;

/** The variable through which `tests/run.ts` tells the test processes where the stack is. */
export const TEST_STACK_VARIABLE = "TRUETICK_TEST_STACK";

/**
 * Where the stack of this test run is.
 *
 * @throws Error when the tests were not started through `deno task test`
 */
export function testStack(): TestStack {
  const text = Deno.env.get(TEST_STACK_VARIABLE);
  if (text === undefined) {
    throw new Error("This test needs the stack that `deno task test` starts: run `deno task test <path of this file>`");
  }
  return testStackSchema.parse(JSON.parse(text));
}

/** What the functions see under this name. Throws when the stack was started without it. */
export function stackVariable(name: string): string {
  const value = testStack().env[name];
  if (value === undefined) throw new Error(`The test stack was started without ${name}`);
  return value;
}
