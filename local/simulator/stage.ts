import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import type { SomeFaults } from "./faults.ts";
import { receiveWebhooks, type WebhookReceiver } from "./receive_webhooks.ts";
import { type Simulator, type SimulatorOptions, startSimulator } from "./simulator.ts";

/** What a test of the simulator sees. */
export interface Stage {
  readonly simulator: Simulator;
  readonly webhooks: WebhookReceiver;
  /** Returns when nothing is left to answer or to post. */
  untilIdle(): Promise<void>;
}

const IDLE_TIMEOUT_MS = 20_000;

/** Keys of the simulator on a {@link onStage stage}. */
export const stageKeys: SimulatorOptions["keys"] = {
  WHATSAPP_VPS_API_KEY: "vps-key",
  WEBHOOK_SECRET_KEY: "hook-key",
  WHATSAPP_ACCESS_TOKEN: "access-token",
  WHATSAPP_APP_SECRET: "app-secret",
  TWILIO_ACCOUNT_SID: "AC0123456789abcdef0123456789abcdef",
  TWILIO_AUTH_TOKEN: "twilio-token",
};

/** For tests: runs a simulator that posts to a receiver, without waits unless told so. */
export async function onStage(faults: SomeFaults, act: (stage: Stage) => Promise<void>): Promise<void> {
  const webhooks = receiveWebhooks();
  const swift = { answerMs: [0, 2], callbackMs: [0, 5], receiptMs: [0, 20], hangMs: [20, 20] } satisfies SomeFaults;
  const simulator = await startSimulator({
    functionsUrl: webhooks.url,
    keys: stageKeys,
    faults: { ...swift, ...faults },
  });
  const untilIdle = async () => {
    const deadline = performance.now() + IDLE_TIMEOUT_MS;
    while (!simulator.idle) {
      assert.ok(performance.now() < deadline, `the simulator is not idle after ${IDLE_TIMEOUT_MS / 1000} s`);
      await delay(10);
    }
  };
  try {
    await act({ simulator, webhooks, untilIdle });
  } finally {
    await simulator.stop();
    await webhooks.stop();
  }
}
