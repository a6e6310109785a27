import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import { z } from "zod";
import type { Stack } from "../../local/stack.ts";

/** A campaign that has been started. */
export interface StartedCampaign {
  readonly id: string;
  /** Reads everything: the client of the secret key. */
  readonly service: SupabaseClient;
}

const ROWS_AT_ONCE = 500;
const withId = z.object({ id: z.string() });

/**
 * Does what a CRM does: signs a person up, gives them an organization, and lets them create a campaign to groups and
 * start it, all through supabase-js.
 * @param memberCounts how many people are in which group
 */
export async function startCampaign(
  stack: Stack,
  memberCounts: Readonly<Record<string, number>>,
): Promise<StartedCampaign> {
  const auth = { persistSession: false, autoRefreshToken: false };
  const service = createClient(stack.apiUrl, stack.secretKey, { auth });
  const owner = createClient(stack.apiUrl, stack.publishableKey, { auth });

  const credentials = { email: `owner-${crypto.randomUUID()}@example.com`, password: crypto.randomUUID() };
  const signedUp = expectData("sign up the owner", await owner.auth.signUp(credentials));
  if (signedUp.session === null) {
    expectDone("sign the owner in", await owner.auth.signInWithPassword(credentials));
  }
  const user = withId.parse(signedUp.user);

  const organization = withId.parse(expectData(
    "create the organization",
    await service.from("organizations").insert({ name: "Demo" }).select("id").single(),
  ));
  const membership = { organization_id: organization.id, user_id: user.id, role: "owner" };
  expectDone("make the owner a member", await service.from("organization_members").insert(membership));

  const session = {
    id: `wa_demo_${organization.id.slice(0, 8)}`,
    organization_id: organization.id,
    channel: "whatsapp_group",
  };
  expectDone("add the sender", await owner.from("gateway_sessions").insert(session));
  const campaign = withId.parse(expectData(
    "create the campaign",
    await owner.from("notification_campaigns").insert({
      organization_id: organization.id,
      name: "Demo under faults",
      channel: "whatsapp_group",
      session_id: session.id,
      content: { type: "text", text: "Doors open at 18:00. See you there!" },
      on_transient_error: "retry",
      // kills of the processor use up attempts, and none may be left for a person to confirm
      max_attempts: 10,
    }).select("id").single(),
  ));
  const recipients = Object.entries(memberCounts).map(([recipient, member_count]) => ({
    campaign_id: campaign.id,
    recipient,
    member_count,
  }));
  for (let from = 0; from < recipients.length; from += ROWS_AT_ONCE) {
    const rows = recipients.slice(from, from + ROWS_AT_ONCE);
    expectDone("add the recipients", await owner.from("notification_campaign_recipients").insert(rows));
  }
  expectDone("start the campaign", await owner.rpc("start_campaign", { p_campaign_id: campaign.id }));
  return { id: campaign.id, service };
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
