import { z } from "zod";

/** A text message, in our words, `{type: "text", text}`, or in Meta's, `{type: "text", text: {body}}`. */
export const textMessage = z.object({
  type: z.literal("text"),
  text: z.union([z.string(), z.object({ body: z.string() }).transform(({ body }) => body)]),
});
