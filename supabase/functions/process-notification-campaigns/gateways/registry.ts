import { cloudApi } from "./cloud_api.ts";
import type { GatewayDefinition } from "./gateway.ts";
import { sms } from "./sms.ts";
import { vps } from "./vps.ts";

/** Every gateway there is. A further one is a file beside these, and its name here. */
export const registry: readonly GatewayDefinition[] = [vps, cloudApi, sms];
