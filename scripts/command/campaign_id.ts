import { InvalidArgumentError } from "commander";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Reads the id of a campaign, as the parser of an option. */
export function campaignId(text: string): string {
  if (!UUID.test(text)) throw new InvalidArgumentError("A campaign's id is a uuid.");
  return text;
}
