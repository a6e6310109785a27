// For tests: published signatures, from a folder outside the repository, where there is one.
import { join } from "node:path";
import { z } from "zod";

const vectors = z.array(z.object({
  provider: z.string(),
  secret: z.string().default(""),
  signature: z.string().default(""),
  body: z.string().default(""),
  url: z.string().default(""),
  params: z.array(z.tuple([z.string(), z.string()])).default([]),
  valid: z.boolean(),
}));

/** The vectors of one provider in `signature-vectors.json` of `PAYLOAD_CORPUS`; none where the variable is not set. */
export function signatureVectors(provider: string): z.output<typeof vectors> {
  const root = Deno.env.get("PAYLOAD_CORPUS");
  if (!root) return [];
  const text = Deno.readTextFileSync(join(root, "signature-vectors.json"));
  return vectors.parse(JSON.parse(text)).filter((vector) => vector.provider === provider);
}
