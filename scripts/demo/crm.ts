import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import { z } from "zod";
import type { Stack } from "../../local/stack.ts";

/** A campaign that has been started. */
export interface StartedCampaign {
  readonly id: string;
  /** Reads everything: the client of the secret key. */
  readonly service: SupabaseClient;
}

/** An organization with somebody who owns it. */
export interface Organization {
  readonly id: string;
  /** Acts as the owner. */
  readonly owner: SupabaseClient;
  /** Does everything: the client of the secret key. */
  readonly service: SupabaseClient;
}

/** What a campaign is like. */
export interface CampaignPlan {
  readonly channel: "whatsapp_group" | "whatsapp" | "sms";
  /** The sender's id. */
  readonly sender: string;
  readonly recipients: readonly { readonly recipient: string; readonly member_count?: number }[];
}

const ROWS_AT_ONCE = 500;
const withId = z.object({ id: z.string() });

/** Signs a person up and gives them an organization, as a CRM does. */
export async function openOrganization(stack: Stack): Promise<Organization> {
  const auth = { persistSession: false, autoRefreshToken: false };
  const service = createClient(stack.apiUrl, stack.secretKey, { auth });
  const owner = createClient(stack.apiUrl, stack.publishableKey, { auth });

  const credentials = { email: `owner-${crypto.randomUUID()}@example.com`, password: crypto.randomUUID() };
  const signedUp = expectData("sign up the owner", await owner.auth.signUp(credentials));
  if (signedUp.session === null) {
    expectDone("sign the owner in", await owner.auth.signInWithPassword(credentials));
  }
  const user = withId.parse(signedUp.user);

  const { id } = withId.parse(expectData(
    "create the organization",
    await service.from("organizations").insert({ name: "Demo" }).select("id").single(),
  ));
  const membership = { organization_id: id, user_id: user.id, role: "owner" };
  expectDone("make the owner a member", await service.from("organization_members").insert(membership));
  return { id, owner, service };
}

/** Has the owner of an organization add a sender, create a campaign that sends through it, and fill it. */
export async function prepareCampaign(
  { id: organization_id, owner, service }: Organization,
  { channel, sender, recipients }: CampaignPlan,
): Promise<StartedCampaign> {
  expectDone("add the sender", await owner.from("gateway_sessions").insert({ id: sender, organization_id, channel }));
  const { id } = withId.parse(expectData(
    "create the campaign",
    await owner.from("notification_campaigns").insert({
      organization_id,
      name: "Demo under faults",
      channel,
      session_id: sender,
      content: { type: "text", text: "Doors open at 18:00. See you there!" },
      on_transient_error: "retry",
      // kills of the processor use up attempts, and none may be left for a person to confirm
      max_attempts: 10,
    }).select("id").single(),
  ));
  const rows = recipients.map((recipient) => ({ campaign_id: id, ...recipient }));
  await insertAll(owner, "notification_campaign_recipients", rows);
  return { id, service };
}

/** Inserts rows, some hundreds at a time. */
export async function insertAll(client: SupabaseClient, table: string, rows: readonly unknown[]): Promise<void> {
  for (let from = 0; from < rows.length; from += ROWS_AT_ONCE) {
    const some = rows.slice(from, from + ROWS_AT_ONCE);
    expectDone(`fill ${table}`, await client.from(table).insert(some));
  }
}

/** Has the owner start a campaign. */
export async function launch({ owner }: Organization, { id }: StartedCampaign): Promise<void> {
  expectDone("start the campaign", await owner.rpc("start_campaign", { p_campaign_id: id }));
}

/**
 * All of it at once, for a campaign to groups of an organization of its own.
 * @param memberCounts how many people are in which group
 */
export async function startCampaign(
  stack: Stack,
  memberCounts: Readonly<Record<string, number>>,
): Promise<StartedCampaign> {
  const organization = await openOrganization(stack);
  const campaign = await prepareCampaign(organization, {
    channel: "whatsapp_group",
    sender: `wa_demo_${organization.id.slice(0, 8)}`,
    recipients: Object.entries(memberCounts).map(([recipient, member_count]) => ({ recipient, member_count })),
  });
  await launch(organization, campaign);
  return campaign;
}

interface Failure {
  readonly message: string;
}

/** The data of an answer. Throws, with what was attempted, when there is none. */
export function expectData<Data>(
  attempt: string,
  answer: { readonly data: Data; readonly error: Failure | null },
): NonNullable<Data> {
  expectDone(attempt, answer);
  if (answer.data === null || answer.data === undefined) throw new Error(`could not ${attempt}: the answer is empty`);
  return answer.data;
}

function expectDone(attempt: string, { error }: { readonly error: Failure | null }): void {
  if (error !== null) throw new Error(`could not ${attempt}: ${error.message}`);
}
