import { addDueContacts } from "../seed.ts";
import type { Engine, EngineOptions } from "./engine.ts";
import { openTruetick } from "./truetick.ts";

/** {@linkcode openTruetick} with contacts in place of groups, each of whom might have opted out. */
export function openTruetickContacts(options: EngineOptions): Promise<Engine> {
  return openTruetick(options, addDueContacts);
}
