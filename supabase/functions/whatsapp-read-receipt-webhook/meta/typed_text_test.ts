import assert from "node:assert/strict";
import { typedText } from "./typed_text.ts";

Deno.test("typed text is what a person wrote or pressed, wherever a message keeps it", () => {
  const messages = [
    { type: "text", text: { body: "STOP" } },
    { type: "button", button: { text: "STOP", payload: "unsubscribe" } },
    { type: "interactive", interactive: { type: "button_reply", button_reply: { id: "1", title: "STOP" } } },
    {
      type: "interactive",
      interactive: { type: "list_reply", list_reply: { id: "1", title: "STOP", description: "x" } },
    },
    { type: "image", image: { id: "1", caption: "STOP" } },
    { type: "video", video: { id: "1", caption: "STOP" } },
    { type: "document", document: { id: "1", filename: "x.pdf", caption: "STOP" } },
    { type: "order", order: { catalog_id: "1", text: "STOP" } },
    { type: "edit", edit: { original_message_id: "wamid.1", message: { type: "text", text: { body: "STOP" } } } },
    { type: "edit", edit: { message: { type: "image", image: { caption: "STOP" } } } },
    // the type is no condition: Meta's may be new, or missing
    { text: { body: "STOP" } },
  ];
  for (const message of messages) {
    assert.equal(typedText(message), "STOP", JSON.stringify(message));
  }
});

Deno.test("typed text is null for all that is not in a person's own words", () => {
  const messages = [
    { type: "reaction", reaction: { message_id: "wamid.1", emoji: "👍" } },
    { type: "revoke", revoke: { original_message_id: "wamid.1" } },
    { type: "location", location: { name: "STOP", address: "STOP" } },
    { type: "contacts", contacts: [{ name: { formatted_name: "STOP" } }] },
    { type: "interactive", interactive: { type: "nfm_reply", nfm_reply: { body: "STOP", response_json: "{}" } } },
    { type: "system", system: { body: "STOP", type: "user_changed_number" } },
    { type: "sticker", sticker: { id: "1" } },
    { type: "text", text: { body: " " } },
    { type: "text", text: { body: 7 } },
    { type: "text", text: "STOP" },
    { type: "text", text: null },
    null,
    "STOP",
    ["STOP"],
  ];
  for (const message of messages) {
    assert.equal(typedText(message), null, JSON.stringify(message));
  }
});
