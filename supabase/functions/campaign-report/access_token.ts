/** As long as any that is genuine, whatever it claims: the platform takes no larger headers. */
const TOKEN = /^Bearer\s+([\w-]+\.[\w-]+\.[\w-]+)$/i;

/**
 * The user's access token that a request carries, unchecked; undefined where there is none.
 *
 * A key is no token: supabase-js sends the publishable key in its place while nobody is signed in.
 */
export function accessToken(request: Request): string | undefined {
  return TOKEN.exec(request.headers.get("authorization") ?? "")?.[1];
}
