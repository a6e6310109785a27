/**
 * A variable of the environment that is missing or unusable.
 *
 * Its message names the variable and the remedy, for the log. The caller of a function is told neither: the outermost
 * catch answers a bare 500.
 */
export class EnvironmentError extends Error {
  override readonly name = "EnvironmentError";

  /**
   * @param variable Name of the variable.
   * @param problem What is wrong with it and what to do, as the end of the sentence "VARIABLE …". Never its value.
   */
  constructor(readonly variable: string, problem: string) {
    super(`${variable} ${problem}`);
  }
}
