import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import { z } from "zod";
import { stackVariable, testStack } from "./test_stack.ts";

/** The three functions. */
export type FunctionName =
  | "process-notification-campaigns"
  | "whatsapp-send-callback"
  | "whatsapp-read-receipt-webhook";

/** What a function answered. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** Parsed where it is JSON. */
  readonly body: unknown;
}

const TIMEOUT_MS = 60_000;

/** Sends a request to a function as it is, with no key that is not in `init`. */
export async function requestFunction(name: FunctionName, init: RequestInit): Promise<Answer> {
  const response = await fetch(`${testStack().apiUrl}/functions/v1/${name}`, {
    ...init,
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: parsed(text) };
}

/** Posts JSON with the key that the function wants. */
export async function postFunction(name: FunctionName, body: unknown): Promise<Answer> {
  return await requestFunction(name, {
    method: "POST",
    headers: { "content-type": "application/json", "x-api-key": keyOf(name) },
    body: JSON.stringify(body),
  });
}

/** The key that a function wants as X-API-Key. */
export function keyOf(name: FunctionName): string {
  return stackVariable(name === "process-notification-campaigns" ? "CRON_SECRET_KEY" : "WEBHOOK_SECRET_KEY");
}

/** One run of the processor; its figures. */
export async function runProcessor(): Promise<Readonly<Record<string, number>>> {
  const { status, body } = await postFunction("process-notification-campaigns", {});
  if (status !== 200) throw new Error(`The processor answered ${status}: ${JSON.stringify(body)}`);
  const figures = Object.entries(z.record(z.string(), z.unknown()).parse(body));
  return Object.fromEntries(
    figures.flatMap(([name, value]) =>
      typeof value === "number" || typeof value === "boolean" ? [[name, Number(value)]] : []
    ),
  );
}

/** A client with the secret key: reads and writes everything. */
export function serviceClient(): SupabaseClient {
  return client(testStack().secretKey);
}

/** A client with the publishable key: nobody signed in. */
export function anonymousClient(): SupabaseClient {
  return client(testStack().publishableKey);
}

/** A person with an account who belongs to an organization. */
export interface Person {
  readonly userId: string;
  readonly organizationId: string;
  /** Signed in: speaks with the person's own token. */
  readonly client: SupabaseClient;
}

/** Signs a new person up and makes them a member of an organization, a new one unless told which. */
export async function signUp(role: "viewer" | "operator" | "owner", organizationId?: string): Promise<Person> {
  const own = anonymousClient();
  const { data, error } = await own.auth.signUp({
    email: `person-${crypto.randomUUID()}@example.com`,
    password: crypto.randomUUID(),
  });
  if (error !== null || data.user === null) throw new Error(`Could not sign up: ${error?.message}`);
  const service = serviceClient();
  const organization = organizationId ?? z.object({ id: z.string() }).parse(
    dataOf(await service.from("organizations").insert({ name: "Test" }).select("id").single()),
  ).id;
  const member = { organization_id: organization, user_id: data.user.id, role };
  const { error: refused } = await service.from("organization_members").insert(member);
  if (refused !== null) throw new Error(`Could not add the member: ${refused.message}`);
  return { userId: data.user.id, organizationId: organization, client: own };
}

/** The data of an answer; its error is thrown. */
export function dataOf<T>(answer: { readonly data: T; readonly error: { readonly message: string } | null }): T {
  if (answer.error !== null) throw new Error(answer.error.message);
  return answer.data;
}

function client(key: string): SupabaseClient {
  return createClient(testStack().apiUrl, key, { auth: { persistSession: false, autoRefreshToken: false } });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
