import { z } from "zod";
import type { SomeFaults } from "./faults.ts";
import {
  type SimulatorRecord,
  simulatorRecordSchema,
  type SimulatorSummary,
  simulatorSummarySchema,
} from "./record.ts";
import type { WrittenMessage } from "./simulator.ts";

const TIMEOUT_MS = 10_000;

/** Tells a simulator that runs in another process what to do, and asks what it did. */
export class SimulatorClient {
  readonly #url: string;

  /** @param url such as `http://127.0.0.1:4000` */
  constructor(url: string) {
    this.#url = url;
  }

  /** Changes some of the faults, for the requests that come from now on. Throws when one is out of range. */
  async setFaults(faults: SomeFaults): Promise<void> {
    await this.#call("POST", "faults", faults);
  }

  /** Says how many people are in which group. */
  async registerGroups(memberCounts: Readonly<Record<string, number>>): Promise<void> {
    await this.#call("POST", "groups", memberCounts);
  }

  /** Lets somebody write a text to a number of the business; settles when it was posted. */
  async write(message: WrittenMessage): Promise<void> {
    await this.#call("POST", "write", message);
  }

  /** Sums and faults of everything so far: little to ask for, however much happened. */
  async summary(): Promise<SimulatorSummary> {
    return simulatorSummarySchema.parse(await this.#call("GET", "summary"));
  }

  /** What truly happened, one by one; with `readers`, also who the people in groups are. */
  async record(readers = false): Promise<SimulatorRecord> {
    return simulatorRecordSchema.parse(await this.#call("GET", `record?readers=${readers}`));
  }

  /** True when nothing is left to answer or to post. */
  async idle(): Promise<boolean> {
    return z.object({ idle: z.boolean() }).parse(await this.#call("GET", "idle")).idle;
  }

  /** Drops what is under way and forgets groups and record; the faults stay. */
  async reset(): Promise<void> {
    await this.#call("POST", "reset", {});
  }

  async #call(method: string, path: string, body?: unknown): Promise<unknown> {
    const response = await fetch(`${this.#url}/control/${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (!response.ok) {
      throw new Error(`the simulator answered ${response.status} to /control/${path}: ${await response.text()}`);
    }
    return await response.json();
  }
}
