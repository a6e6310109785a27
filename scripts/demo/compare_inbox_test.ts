import assert from "node:assert/strict";
import type { ContactsRecord } from "../../local/simulator/record.ts";
import { compareInbox, type InboxAccount } from "./compare_inbox.ts";

const record: Pick<ContactsRecord, "inbound" | "optedOut"> = {
  inbound: [
    { messageId: "m1", sessionId: "1", contact: "491511", userId: null, type: "text", text: "STOP" },
    { messageId: "m2", sessionId: "1", contact: null, userId: "IN.7", type: "reaction", text: null },
  ],
  optedOut: ["491511"],
};
const from = { channel: "whatsapp", session_id: "1", direction: "inbound" } as const;
const account: InboxAccount = {
  messages: [
    { ...from, contact: "+491511", user_id: null, wa_message_id: "m1", content: "STOP" },
    { ...from, contact: "IN.7", user_id: "IN.7", wa_message_id: "m2", content: null },
  ],
  optOuts: [{ channel: "whatsapp", address: "+491511" }, { channel: "whatsapp", address: "+91983" }],
};

function differences(changed: Partial<InboxAccount>): string {
  return compareInbox({ ...account, ...changed }, record, ["91983"]).differences.join("\n");
}

Deno.test("nothing differs when each message is there once and those opted out who said so", () => {
  assert.equal(differences({}), "");
});

Deno.test("a message that is there twice, not at all, or otherwise, is a difference", () => {
  const [first, second] = account.messages;
  assert.ok(first !== undefined && second !== undefined);
  assert.match(differences({ messages: [first, first, second] }), /inbox: .*3.*2\nm1: copies is 2/);
  assert.match(differences({ messages: [first] }), /m2: written, and not in the inbox/);
  assert.match(differences({ messages: [{ ...first, content: "Stop" }, second] }), /m1: text is Stop.*STOP/);
  assert.match(differences({ messages: [{ ...first, contact: "+49152" }, second] }), /m1: contact is \+49152/);
  assert.match(differences({ messages: [{ ...first, session_id: "2" }, second] }), /m1: sender is 2/);
});

Deno.test("an opt-out that is missing, and one that nobody asked for, are differences", () => {
  const [asked, before] = account.optOuts;
  assert.ok(asked !== undefined && before !== undefined);
  assert.match(differences({ optOuts: [before] }), /\+491511: opted out, and the backend does not know/);
  assert.match(differences({ optOuts: [asked, before, { ...asked, address: "+1" }] }), /\+1: did not opt out/);
});
