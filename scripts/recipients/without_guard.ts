/** A cell without the apostrophe that our export, like others, puts before what a spreadsheet would take for a formula. */
export function withoutGuard(cell: string): string {
  return /^'[=+\-@\t\r]/.test(cell) ? cell.slice(1) : cell;
}
