/** A seeded source of decisions. Two sources made of the same seed and keys answer the same, always. */
export interface Random {
  /** The next number in [0, 1). */
  next(): number;
  /** True for about `rate` (0 to 1) of the calls. */
  chance(rate: number): boolean;
  /** A whole number from `min` to `max`, both included. */
  int(min: number, max: number): number;
  /** One of the items. */
  pick<Item>(items: readonly [Item, ...Item[]]): Item;
  /** The items in another order; the argument stays as it is. */
  shuffle<Item>(items: readonly Item[]): Item[];
  /** `length` hexadecimal digits in upper case. */
  hex(length: number): string;
}

/**
 * The source for one decision, named by its keys (a group, a purpose).
 * Keyed by name and not by call order, so that the timing of HTTP requests does not change what is decided.
 */
export function randomFor(seed: number, ...keys: readonly (string | number)[]): Random {
  let state = hash(`${seed}|${keys.join("|")}`);

  function next(): number {
    state = (state + 0x9e3779b9) >>> 0;
    return mix(state) / 2 ** 32;
  }

  function int(min: number, max: number): number {
    return min + Math.floor(next() * (max - min + 1));
  }

  return {
    next,
    chance: (rate) => next() < rate,
    int,
    pick: (items) => items[int(0, items.length - 1)] ?? items[0],
    shuffle: (items) =>
      items.map((item) => ({ item, place: next() })).sort((a, b) => a.place - b.place).map(({ item }) => item),
    hex: (length) => Array.from({ length }, () => int(0, 15).toString(16)).join("").toUpperCase(),
  };
}

/** FNV-1a over UTF-16 code units, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193) >>> 0;
  }
  return mix(value);
}

/** Spreads neighbouring states over all 32 bits. */
function mix(state: number): number {
  let value = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
  value = Math.imul(value ^ (value >>> 15), 0x735a2d97);
  return (value ^ (value >>> 15)) >>> 0;
}
