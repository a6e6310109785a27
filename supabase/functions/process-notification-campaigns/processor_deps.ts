import type { Deps } from "../_shared/deps.ts";
import type { SendSlots } from "./send_slots.ts";

/** What the processor needs beside what every function needs. */
export interface ProcessorDeps extends Deps {
  /** Shared by the runs of one isolate. */
  readonly slots: SendSlots;
}
