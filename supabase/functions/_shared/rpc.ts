import type { Database } from "./database.types.ts";
import type { Result } from "./result.ts";

/** The functions of the database, as generated from it. */
export type Functions = Database["public"]["Functions"];
/** The name of one. */
export type FunctionName = keyof Functions & string;
/** What it takes. */
export type Arguments<Name extends FunctionName> = Functions[Name]["Args"];

/**
 * Calls one function of the database. The value is what came over the wire: parse it before use.
 *
 * The failure is `database_unavailable` when the call is worth repeating later, else `internal`; both are logged.
 */
export interface Rpc {
  <Name extends FunctionName>(name: Name, args?: Arguments<Name>): Promise<Result<unknown>>;
}
