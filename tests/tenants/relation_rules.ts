import type { ActorName } from "./actor.ts";
import type { Tenant } from "./tenants.ts";

/** What the people of an organization may do with its rows in one table or view. Nobody else may do anything. */
export interface RelationRule {
  /** One row of an organization, as a condition of SQL. */
  readonly rowOf: (tenant: Tenant) => string;
  readonly select: readonly ActorName[];
  /** A new row that could be stored, and who may store it. */
  readonly insert: {
    readonly by: readonly ActorName[];
    readonly row: (tenant: Tenant) => Record<string, string | number>;
  };
  readonly update: { readonly by: readonly ActorName[]; readonly columns: readonly string[] };
  readonly delete: readonly ActorName[];
  /** The view is a computation: not even service_role writes it. */
  readonly isReadOnly?: true;
  /** Columns that nobody writes, of a view that can otherwise be written. */
  readonly computed?: readonly string[];
  /** How a write that is not allowed may be refused, besides 42501 and no row. */
  readonly refusals?: readonly string[];
}

const members = ["viewer", "operator", "owner"] as const;
const operators = ["operator", "owner"] as const;
const owners = ["owner"] as const;
const nothing = { by: [], columns: [] } as const;

/** The rule of every table and view in `public`; one without a rule fails the test. */
export const relationRules: Readonly<Record<string, RelationRule>> = {
  organizations: {
    rowOf: ({ organizationId }) => `id = '${organizationId}'`,
    select: members,
    insert: { by: [], row: () => ({ name: "New" }) },
    update: { by: owners, columns: ["name", "time_zone", "quiet_from", "quiet_until"] },
    delete: [],
  },
  organization_members: {
    rowOf: ({ organizationId, viewerId }) => `organization_id = '${organizationId}' and user_id = '${viewerId}'`,
    select: members,
    insert: {
      by: owners,
      row: ({ organizationId }) => ({ organization_id: organizationId, user_id: crypto.randomUUID(), role: "viewer" }),
    },
    update: { by: owners, columns: ["role"] },
    delete: owners,
  },
  gateway_sessions: {
    rowOf: ({ sessionId }) => `id = '${sessionId}_spare'`,
    select: members,
    insert: { by: owners, row: ({ organizationId }) => ({ id: "wa_new", organization_id: organizationId }) },
    update: {
      by: operators,
      columns: [
        "status",
        "status_reason",
        "messages_per_minute",
        "daily_limit",
        "warm_up_first_day",
        "warm_up_days",
        "warm_up_started_at",
        "max_failure_percent",
        "name",
      ],
    },
    delete: owners,
  },
  opt_outs: {
    rowOf: ({ organizationId }) => `organization_id = '${organizationId}'`,
    select: members,
    insert: {
      by: operators,
      row: ({ organizationId }) => ({ organization_id: organizationId, channel: "sms", recipient: "+1" }),
    },
    update: nothing,
    delete: operators,
  },
  notification_campaigns: {
    rowOf: ({ campaignId }) => `id = '${campaignId}'`,
    select: members,
    insert: {
      by: operators,
      row: ({ organizationId, sessionId }) => ({
        organization_id: organizationId,
        channel: "whatsapp_group",
        session_id: sessionId,
      }),
    },
    update: {
      by: operators,
      columns: [
        "name",
        "session_id",
        "content",
        "scheduled_at",
        "max_attempts",
        "unconfirmed_policy",
        "on_transient_error",
        "ignores_quiet_hours",
      ],
    },
    delete: operators,
  },
  notification_campaign_recipients: {
    rowOf: ({ recipientId }) => `id = '${recipientId}'`,
    select: members,
    insert: { by: operators, row: ({ campaignId }) => ({ campaign_id: campaignId, recipient: "new@g.us" }) },
    update: nothing,
    delete: operators,
  },
  send_attempts: {
    rowOf: ({ messageId }) => `message_id = '${messageId}'`,
    select: members,
    insert: { by: [], row: ({ recipientId }) => ({ recipient_id: recipientId, attempt_number: 9 }) },
    update: nothing,
    delete: [],
  },
  message_receipts: {
    rowOf: ({ messageId }) => `message_id = '${messageId}'`,
    select: members,
    insert: { by: [], row: ({ messageId }) => ({ message_id: messageId, reader: "somebody else" }) },
    update: nothing,
    delete: [],
  },
  message_rates: {
    rowOf: ({ organizationId }) => `organization_id = '${organizationId}'`,
    select: members,
    insert: {
      by: owners,
      row: ({ organizationId }) => ({ organization_id: organizationId, category: "utility", cost: 1, currency: "EUR" }),
    },
    update: { by: owners, columns: ["cost", "currency"] },
    delete: owners,
  },
  conversations: {
    rowOf: ({ organizationId }) => `organization_id = '${organizationId}'`,
    select: members,
    insert: {
      by: [],
      row: ({ organizationId, sessionId }) => ({
        organization_id: organizationId,
        channel: "whatsapp",
        session_id: sessionId,
        contact: "+4915198765432",
      }),
    },
    update: nothing,
    delete: [],
  },
  chat_messages: {
    rowOf: ({ conversationId }) => `conversation_id = '${conversationId}'`,
    select: members,
    insert: { by: [], row: ({ conversationId }) => ({ conversation_id: conversationId, wa_message_id: "forged" }) },
    update: nothing,
    delete: [],
  },
  consent_keywords: {
    rowOf: ({ organizationId }) => `organization_id = '${organizationId}'`,
    select: members,
    insert: {
      by: owners,
      row: ({ organizationId }) => ({ organization_id: organizationId, keyword: "enough", action: "stop" }),
    },
    update: { by: owners, columns: ["action"] },
    delete: owners,
  },
  campaign_counters: {
    rowOf: ({ campaignId }) => `campaign_id = '${campaignId}'`,
    select: members,
    insert: {
      by: [],
      row: ({ organizationId }) => ({
        campaign_id: crypto.randomUUID(),
        organization_id: organizationId,
        total_count: 0,
        pending_count: 0,
        processing_count: 0,
        unconfirmed_count: 0,
        sent_count: 0,
        failed_count: 0,
        skipped_count: 0,
        audience_count: 0,
        reached_count: 0,
        delivered_count: 0,
        read_count: 0,
        cost: 0,
      }),
    },
    update: nothing,
    delete: [],
  },
  counter_discrepancies: {
    rowOf: ({ campaignId }) => `campaign_id = '${campaignId}'`,
    select: members,
    insert: {
      by: [],
      row: ({ campaignId }) => ({ campaign_id: campaignId, counter: "sent_count", stored: 1, actual: 0 }),
    },
    update: nothing,
    delete: [],
  },
  notification_campaign_groups: {
    rowOf: ({ recipientId }) => `id = '${recipientId}'`,
    select: members,
    insert: { by: operators, row: ({ campaignId }) => ({ campaign_id: campaignId, group_jid: "new@g.us" }) },
    update: nothing,
    delete: operators,
  },
  send_queue: {
    rowOf: ({ contactId }) => `id = '${contactId}'`,
    select: members,
    insert: {
      by: operators,
      row: ({ contactCampaignId }) => ({ campaign_id: contactCampaignId, phone: "+4915198765432", status: "ready" }),
    },
    update: nothing,
    delete: [],
    computed: ["status"],
    // "not a campaign to contacts that you may see", and "cannot update column of view"
    refusals: ["23514", "0A000"],
  },
  notification_campaign_stats: {
    rowOf: ({ campaignId }) => `campaign_id = '${campaignId}'`,
    select: members,
    insert: { by: [], row: ({ campaignId }) => ({ campaign_id: campaignId }) },
    update: nothing,
    delete: [],
    isReadOnly: true,
    refusals: ["55000"],
  },
  duplicate_sends: {
    rowOf: ({ campaignId }) => `campaign_id = '${campaignId}'`,
    select: members,
    insert: { by: [], row: ({ campaignId }) => ({ campaign_id: campaignId }) },
    update: nothing,
    delete: [],
    isReadOnly: true,
    refusals: ["55000"],
  },
};
