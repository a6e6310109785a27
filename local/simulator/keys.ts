import type { SimulatorOptions } from "./simulator.ts";

/**
 * The keys of everybody the simulator plays. While secrets rotate some variables are lists; a gateway knows one entry,
 * the first.
 * @param read the value of a variable
 */
export function simulatorKeys(read: (name: string) => string): SimulatorOptions["keys"] {
  const first = (name: string) => read(name).split(",", 1)[0]?.trim() ?? "";
  return {
    WHATSAPP_VPS_API_KEY: read("WHATSAPP_VPS_API_KEY"),
    WEBHOOK_SECRET_KEY: first("WEBHOOK_SECRET_KEY"),
    WHATSAPP_ACCESS_TOKEN: read("WHATSAPP_ACCESS_TOKEN"),
    WHATSAPP_APP_SECRET: first("WHATSAPP_APP_SECRET"),
    TWILIO_ACCOUNT_SID: read("TWILIO_ACCOUNT_SID"),
    TWILIO_AUTH_TOKEN: first("TWILIO_AUTH_TOKEN"),
  };
}
