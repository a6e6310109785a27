/** A migration, as far as rules about its text are concerned. */
export interface Migration {
  readonly name: string;
  readonly text: string;
}

const KEYWORDS =
  /\b(SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|GRANT|REVOKE|FROM|WHERE|JOIN|VALUES|RETURNING|BEGIN|END|DECLARE|FUNCTION|TABLE|VIEW|INDEX|TRIGGER|POLICY|TEXT|UUID|INTEGER|BOOLEAN|JSONB|NULL|NOT|AND|OR|TRUE|FALSE)\b/g;

/** Each keyword that is not in lower case, with its line. */
export function shoutedKeywords({ name, text }: Migration): string[] {
  return withoutProse(text).split("\n").flatMap((line, index) =>
    (line.match(KEYWORDS) ?? []).map((word) => `${name}:${index + 1}: ${word}`)
  );
}

/** Each `security definer` that does not say, in a comment above it, why. */
export function unexplainedDefiners({ name, text }: Migration): string[] {
  const lines = text.split("\n");
  return lines.flatMap((line, index) => {
    if (!/^\s*security definer\b/.test(withoutProse(line))) return [];
    const above = (lines[index - 1] ?? "").trim();
    return /^-- definer because \S+ \S+/.test(above)
      ? []
      : [`${name}:${index + 1}: security definer without "-- definer because"`];
  });
}

/** Each function that is not followed, before the next one, by the revoke of what everybody gets by default. */
export function unrevokedFunctions({ name, text }: Migration): string[] {
  const pattern = /^create (?:or replace )?function ((?:public|private)\.\w+)/gm;
  const found = [...text.matchAll(pattern)];
  return found.flatMap((match, index) => {
    const functionName = match[1] ?? "";
    const rest = text.slice(match.index, found[index + 1]?.index);
    const isRevoked = rest.includes(`revoke all on function ${functionName}(`) &&
      /revoke all on function [^;]* from public, anon, authenticated;/.test(rest);
    return isRevoked ? [] : [`${name}: ${functionName} keeps the default grants`];
  });
}

/** The same lines, comments and texts blanked: what stands there is for people. */
function withoutProse(text: string): string {
  return text
    .replace(/--[^\n]*/g, "")
    .replace(/'(?:[^']|'')*'/g, (literal) => literal.replace(/[^\n]/g, " "));
}
