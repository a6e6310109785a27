import { z } from "zod";
import type { Deps } from "../_shared/deps.ts";
import { parseAnswer } from "../_shared/parse_answer.ts";
import type { Result } from "../_shared/result.ts";
import type { Arguments, FunctionName } from "../_shared/rpc.ts";

const count = z.number().int();

/** Calls a function of the database that answers how many rows it touched. */
export async function callCount<Name extends FunctionName>(
  deps: Deps,
  name: Name,
  args?: Arguments<Name>,
): Promise<Result<number>> {
  return parseAnswer(await deps.rpc(name, args), count, name, deps.log);
}
