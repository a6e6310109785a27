import { databaseTest } from "../../harness/mod.ts";
import { propertyRuns, propertySeed } from "../settings.ts";
import { live } from "./contact_life.ts";

const STEPS = 150;
const LIVES = 3;

databaseTest(
  "whatever happens in whatever order, nobody is written to who must not be, and everything ends",
  async ({ sql }) => {
    const seed = propertySeed();
    for (let life = 0; life < LIVES; life++) await live(sql, seed + life, propertyRuns(STEPS));
  },
  { timeoutMs: 120_000 },
);
