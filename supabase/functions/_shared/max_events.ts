/** Beyond this many events a post is refused: what a body of 4 MB could still hold would pass the 2 s of CPU. */
export const MAX_EVENTS = 50_000;
