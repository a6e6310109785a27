import assert from "node:assert/strict";
import { metaContacts } from "./meta_contacts.ts";

const asha = { wa_id: "919876543210", user_id: "IN.1", profile: { name: "Asha" } };
const ravi = { wa_id: "919876543211", user_id: "IN.2", profile: { name: "Ravi" } };

Deno.test("contact is found by number, else by user id", () => {
  const contacts = metaContacts([asha, ravi]);
  assert.deepEqual(contacts("919876543211", null), { contact: "919876543211", userId: "IN.2", name: "Ravi" });
  assert.deepEqual(contacts(null, "IN.1"), { contact: "919876543210", userId: "IN.1", name: "Asha" });
  assert.deepEqual(contacts("919876543210", "IN.2"), { contact: "919876543210", userId: "IN.2", name: "Asha" });
});

Deno.test("contact is the only one there is, when none is known by that number or id", () => {
  assert.deepEqual(metaContacts([asha])(null, null), { contact: "919876543210", userId: "IN.1", name: "Asha" });
  assert.deepEqual(metaContacts([asha])("1555", null), { contact: "1555", userId: "IN.1", name: "Asha" });
});

Deno.test("contact is nobody when several might be meant, or none is given", () => {
  for (const given of [[asha, ravi], [], undefined, null, {}, "x", [null, 7, "x", []]]) {
    assert.deepEqual(metaContacts(given)(null, null), { contact: null, userId: null, name: null });
    assert.deepEqual(metaContacts(given)("1555", "US.9"), { contact: "1555", userId: "US.9", name: null });
  }
});

Deno.test("contact without a number, a name or a profile is taken for what there is", () => {
  const known = { contact: null, userId: "US.9", name: null };
  for (const profile of [undefined, null, {}, { name: "" }, { name: 7 }, "x"]) {
    assert.deepEqual(metaContacts([{ wa_id: "", user_id: "US.9", profile }])(null, null), known);
  }
});
