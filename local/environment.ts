import { join, resolve } from "node:path";
import { parseEnv } from "node:util";
import { inRepository } from "./repository.ts";

/** Keys for development: fixed and public. */
export const localKeys = {
  publishable: "sb_publishable_local",
  secret: "sb_secret_local",
  jwtSecret: "local-jwt-secret-of-at-least-32-characters",
} as const;

/** Where the stack listens and keeps its data. */
export interface StackSettings {
  readonly apiPort: number;
  readonly dbPort: number;
  /** Absolute. */
  readonly dataDir: string;
  /** Between two runs of the processor; 0: none. */
  readonly cronSeconds: number;
}

/** Keys and secrets, if nothing else is said. */
const KEY_DEFAULTS: Readonly<Record<string, string>> = {
  WEBHOOK_SECRET_KEY: "local-webhook-key",
  CRON_SECRET_KEY: "local-cron-key",
  WHATSAPP_VPS_API_KEY: "local-vps-key",
  WHATSAPP_APP_SECRET: "local-app-secret",
  WHATSAPP_VERIFY_TOKEN: "local-verify-token",
  TWILIO_AUTH_TOKEN: "local-twilio-token",
};

/** Who sends, if nothing else is said. */
const ACCOUNT_DEFAULTS: Readonly<Record<string, string>> = {
  WHATSAPP_PHONE_NUMBER_ID: "100000000000001",
  WHATSAPP_ACCESS_TOKEN: "local-access-token",
  TWILIO_ACCOUNT_SID: "AC00000000000000000000000000000001",
  TWILIO_FROM: "+15005550006",
};

/** Addresses of gateways, which the simulator plays where nobody else does. */
export const gatewayAddresses = ["WHATSAPP_VPS_URL", "WHATSAPP_CLOUD_API_URL", "TWILIO_API_URL"] as const;

/** What the functions may read from outside; everything else stays with the stack. */
const FUNCTION_VARIABLES: readonly string[] = [
  ...Object.keys(KEY_DEFAULTS),
  ...Object.keys(ACCOUNT_DEFAULTS),
  ...gatewayAddresses,
  "PUBLIC_FUNCTIONS_URL",
  "PROCESS_TIME_BUDGET_MS",
  "PROCESS_LEASE_SECONDS",
  "PROCESS_SEND_TIMEOUT_MS",
  "PROCESS_CONCURRENCY",
  "PROCESS_SESSION_CONCURRENCY",
  "PROCESS_POLL_SECONDS",
  "HEALTH_SECRET_KEY",
  "ALERT_WEBHOOK_URL",
  "ALERT_SILENT_MINUTES",
];

/**
 * Variables from the repository's `.env`, if there is one, and from the environment, which wins. An empty value counts
 * as not set; a key or secret set to nothing is not replaced by its default, so that what then happens can be tried.
 */
export function readVariables(): Record<string, string> {
  const variables = { ...readEnvFile(), ...Deno.env.toObject() };
  return Object.fromEntries(
    Object.entries(variables).filter(([name, value]) => value !== "" || name in KEY_DEFAULTS),
  );
}

/**
 * The stack's own settings.
 *
 * @throws Error naming the variable that is no number, or out of range
 */
export function stackSettings(variables: Readonly<Record<string, string>>): StackSettings {
  return {
    apiPort: port(variables, "TRUETICK_API_PORT", 54321),
    dbPort: port(variables, "TRUETICK_DB_PORT", 54322),
    dataDir: resolve(inRepository(), variables.TRUETICK_DATA_DIR ?? ".local"),
    cronSeconds: number(variables, "TRUETICK_CRON_SECONDS", 5, 0, 86_400),
  };
}

/** The functions' variables that were given, over the defaults for development. */
export function functionVariables(variables: Readonly<Record<string, string>>): Record<string, string> {
  const given = FUNCTION_VARIABLES.flatMap((name) => {
    const value = variables[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...KEY_DEFAULTS, ...ACCOUNT_DEFAULTS, ...Object.fromEntries(given) };
}

function readEnvFile(): Record<string, string> {
  try {
    const parsed = parseEnv(Deno.readTextFileSync(join(inRepository(), ".env")));
    return Object.fromEntries(Object.entries(parsed).map(([name, value]) => [name, value ?? ""]));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return {};
    throw error;
  }
}

function port(variables: Readonly<Record<string, string>>, name: string, fallback: number): number {
  const value = number(variables, name, fallback, 0, 65_535);
  if (!Number.isInteger(value)) throw new Error(`${name} must be a whole number, not ${value}`);
  return value;
}

function number(
  variables: Readonly<Record<string, string>>,
  name: string,
  fallback: number,
  least: number,
  most: number,
): number {
  const text = variables[name];
  if (text === undefined) return fallback;
  const value = Number(text);
  if (text.trim() === "" || !(value >= least && value <= most)) {
    throw new Error(`${name} must be a number from ${least} to ${most}, not "${text}"`);
  }
  return value;
}
