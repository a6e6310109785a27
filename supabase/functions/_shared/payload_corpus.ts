// For tests: payloads of providers from a folder outside the repository, where there is one.
import { join } from "node:path";

/** A file of the corpus. */
export interface Payload {
  readonly name: string;
  readonly text: string;
}

/** The files of one folder of `PAYLOAD_CORPUS`, in order; none where the variable is not set. */
export function payloadCorpus(folder: string): readonly Payload[] {
  const root = Deno.env.get("PAYLOAD_CORPUS");
  if (!root) return [];
  const path = join(root, folder);
  const names = [...Deno.readDirSync(path)].filter(({ isFile }) => isFile).map(({ name }) => name).sort();
  return names.map((name) => ({ name, text: Deno.readTextFileSync(join(path, name)) }));
}
