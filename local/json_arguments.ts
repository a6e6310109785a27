import { z } from "zod";

/** A function of the schema, as lite describes it. */
export interface FunctionShape {
  readonly schema: string;
  readonly name: string;
  readonly arg_names: readonly string[];
  readonly arg_types: readonly string[];
}

const rpcCall = z.object({
  type: z.literal("rpc"),
  function: z.string(),
  schema: z.string().default("public"),
  httpMethod: z.string().optional(),
  args: z.record(z.string(), z.unknown()),
});

/**
 * Which arguments of a call become JSON text: those a function takes as json or jsonb and the caller sent as a string.
 * lite writes other values as JSON itself but hands a string on as it is, so that `"5"` would become the number 5 and
 * `"hello"` no JSON at all.
 *
 * @param ast lite's description of a request
 * @returns the arguments to use instead, or null when the request's own will do
 */
export function encodeJsonArguments(ast: unknown, functions: readonly FunctionShape[]): Record<string, unknown> | null {
  const call = rpcCall.safeParse(ast);
  if (!call.success || call.data.httpMethod === "GET") return null;
  const { args, schema } = call.data;
  const candidates = functions.filter((each) => each.schema === schema && each.name === call.data.function);
  const takesJson = (name: string) =>
    candidates.some(({ arg_names, arg_types }) => /^jsonb?$/.test(arg_types[arg_names.indexOf(name)] ?? ""));
  const strings = Object.entries(args).filter(([name, value]) => typeof value === "string" && takesJson(name));
  if (strings.length === 0) return null;
  return { ...args, ...Object.fromEntries(strings.map(([name, value]) => [name, JSON.stringify(value)])) };
}

/**
 * The numbers of the parameters that a statement casts to json or jsonb. Their text is JSON already: sent as text, or the
 * driver would write it as a JSON string of JSON.
 */
export function jsonTextParameters(statement: string): ReadonlySet<number> {
  const known = cache.get(statement);
  if (known) return known;
  const numbers = new Set(Array.from(statement.matchAll(/\$(\d+)::jsonb?\b(?!\[)/g), ([, number]) => Number(number)));
  if (cache.size > 1000) cache.clear();
  cache.set(statement, numbers);
  return numbers;
}

const cache = new Map<string, ReadonlySet<number>>();
