import assert from "node:assert/strict";
import type { ContactsRecord } from "../../local/simulator/record.ts";
import type { Audience } from "./audience.ts";
import { compareContacts, type ContactAccount } from "./compare_contacts.ts";

const audience: Audience = {
  recipients: ["+49 151 1", "491512", "n/a", "+91 98 3"],
  due: new Map([["+49 151 1", "491511"], ["491512", "491512"]]),
  skipped: new Map([["n/a", "invalid_phone_number"], ["+91 98 3", "opted_out"]]),
  optedOut: new Map([["91983", "91983"]]),
};

/** One got it and read it, the other could not be reached. */
const record: ContactsRecord = {
  totals: {
    contacts: 2,
    requests: 2,
    messages: 1,
    doubleSends: 0,
    sent: 1,
    failed: 1,
    delivered: 1,
    read: 1,
    inbound: 0,
    optedOut: 0,
  },
  faults: {},
  contacts: [
    {
      contact: "491511",
      status: "sent",
      requests: 1,
      messages: [{
        clientMessageId: "a",
        messageId: "wamid.1",
        sessionId: "1",
        status: "sent",
        delivered: true,
        read: true,
        errorCode: null,
        category: "marketing",
        cost: null,
      }],
      rejectedWith: null,
      delivered: 1,
      read: 1,
    },
    { contact: "491512", status: "failed", requests: 1, messages: [], rejectedWith: "131026", delivered: 0, read: 0 },
  ],
  inbound: [],
  optedOut: [],
};

const untouched = { message_id: null, error_code: null, delivered_count: 0, read_count: 0, cost: null };
const account: ContactAccount = {
  status: "completed",
  stats: {
    total_count: 4,
    pending_count: 0,
    processing_count: 0,
    unconfirmed_count: 0,
    sent_count: 1,
    failed_count: 1,
    skipped_count: 2,
    audience_count: 4,
    reached_count: 1,
    delivered_count: 1,
    read_count: 1,
    cost: 0.1,
    progress: 100,
  },
  contacts: [
    {
      ...untouched,
      id: "1",
      recipient: "+49 151 1",
      status: "sent",
      skip_reason: null,
      message_id: "wamid.1",
      delivered_count: 1,
      read_count: 1,
      cost: 0.1,
    },
    { ...untouched, id: "2", recipient: "491512", status: "failed", skip_reason: null, error_code: "131026" },
    { ...untouched, id: "3", recipient: "n/a", status: "skipped", skip_reason: "invalid_phone_number" },
    { ...untouched, id: "4", recipient: "+91 98 3", status: "skipped", skip_reason: "opted_out" },
  ],
  doubleSends: 0,
  discrepancies: [],
};

function differences(changed: Partial<ContactAccount>, truth: ContactsRecord = record): string {
  return compareContacts({ ...account, ...changed }, truth, audience, ({ delivered }) => delivered * 0.1).differences
    .join("\n");
}

/** The account with one contact changed. */
function withContact(place: number, changed: Partial<ContactAccount["contacts"][number]>): Partial<ContactAccount> {
  return { contacts: account.contacts.map((contact, each) => each === place ? { ...contact, ...changed } : contact) };
}

Deno.test("nothing differs when the backend says what truly happened", () => {
  assert.equal(differences({}), "");
});

Deno.test("each counter of the stats view is compared", () => {
  for (const [name, value] of Object.entries(account.stats)) {
    const found = differences({ stats: { ...account.stats, [name]: value + 1 } });
    assert.equal(found.split("\n").length, 1, `${name} one too high gave ${found}`);
    assert.notEqual(found, "");
  }
});

Deno.test("a contact that differs is named with the field when the sums agree", () => {
  assert.match(differences(withContact(0, { read_count: 0 })), /\+49 151 1: read is 0.*1/);
  assert.match(differences(withContact(0, { message_id: "wamid.2" })), /message id is wamid\.2.*wamid\.1/);
  assert.match(differences(withContact(0, { cost: 0.2 })), /cost is 0\.2.*0\.1/);
  assert.match(differences(withContact(1, { error_code: "131000" })), /error code is 131000.*131026/);
  assert.match(differences(withContact(2, { skip_reason: "opted_out" })), /n\/a: skip reason is opted_out/);
  assert.match(differences(withContact(3, { status: "sent" })), /\+91 98 3: status is sent.*skipped/);
  assert.match(differences({ contacts: account.contacts.slice(1) }), /\+49 151 1: missing/);
});

Deno.test("a message sent twice, or to somebody who should not get it, is a difference when both sides admit to it", () => {
  assert.match(
    differences({ doubleSends: 1 }, { ...record, totals: { ...record.totals, doubleSends: 1 } }),
    /sent twice/,
  );
  const [first] = record.contacts;
  assert.ok(first !== undefined);
  const stranger = { ...first, contact: "91983", status: "failed", delivered: 0, read: 0 } as const;
  assert.match(differences({}, { ...record, contacts: [...record.contacts, stranger] }), /91983: was sent to/);
});

Deno.test("what the recount finds and a campaign that is not completed are differences", () => {
  assert.match(differences({ discrepancies: [{ counter: "sent" }] }), /recount.*sent/);
  assert.match(differences({ status: "processing" }), /campaign is processing/);
});
