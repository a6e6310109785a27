/** Whether the body is declared as `mediaType` (in lower case), whatever its charset, and without a content encoding. */
export function hasMediaType(request: Request, mediaType: string): boolean {
  const type = request.headers.get("content-type")?.split(";", 1)[0]?.trim().toLowerCase();
  const encoding = request.headers.get("content-encoding")?.trim().toLowerCase() ?? "identity";
  return type === mediaType && encoding === "identity";
}
