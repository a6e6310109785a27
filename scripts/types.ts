// deno-lint-ignore-file no-console -- a command of the terminal
import { databaseTypes, databaseTypesPath } from "./database_types.ts";
import { withTemporaryStack } from "./temporary_stack.ts";

const types = await withTemporaryStack((stack) => databaseTypes(stack.databaseUrl));
await Deno.writeTextFile(databaseTypesPath, types);
console.log(`Wrote ${databaseTypesPath}`);
