/**
 * Waits for a promise, but not longer than a bound, and leaves no timer behind.
 *
 * @returns what the promise gave, or `fallback` when the bound was reached first
 */
export async function within<T, F>(promise: Promise<T>, milliseconds: number, fallback: F): Promise<T | F> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const bound = new Promise<F>((resolve) => {
    timer = setTimeout(() => resolve(fallback), milliseconds);
  });
  try {
    return await Promise.race([promise, bound]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits a given time: between two looks at something that is being waited for. */
export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
