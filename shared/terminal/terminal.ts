/** A terminal that is drawn upon, and given back as it was, whatever happens. */

/** The parts of an input stream that are needed. */
export interface KeyInput {
  readonly isTTY?: boolean;
  setRawMode?(isRaw: boolean): unknown;
  on(event: "data", take: (chunk: Buffer) => void): unknown;
  off(event: "data", take: (chunk: Buffer) => void): unknown;
  resume(): unknown;
  pause(): unknown;
}

/** The parts of an output stream that are needed. */
export interface TextOutput {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

const SIZE = { width: 80, height: 24 };
const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const CLEAR_LINE_END = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";
const CONTROL_C = 3;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Standard input and output as a place to draw. */
export class Terminal {
  readonly #input: KeyInput;
  readonly #output: TextOutput;
  readonly #environment: Readonly<Record<string, string | undefined>>;
  #isFullScreen = false;
  #leave: () => void = () => {};
  readonly #onSignal = (): void => this.#leave();
  readonly #onExit = (): void => this.close();
  readonly #onKeys = (keys: Buffer): void => {
    for (const key of keys) {
      if (key === CONTROL_C || key === 0x71 || key === 0x51) this.#leave();
    }
  };

  constructor(
    input: KeyInput = process.stdin,
    output: TextOutput = process.stdout,
    environment: Readonly<Record<string, string | undefined>> = process.env,
  ) {
    this.#input = input;
    this.#output = output;
    this.#environment = environment;
  }

  /** Whether somebody sits there. */
  get isInteractive(): boolean {
    return this.#output.isTTY === true && this.#environment.TERM !== "dumb";
  }

  /** No colour where NO_COLOR is set to anything; see no-color.org. */
  get hasColour(): boolean {
    return this.isInteractive && (this.#environment.NO_COLOR ?? "") === "";
  }

  size(): { readonly width: number; readonly height: number } {
    // Some terminals do not know their size and say 0.
    return { width: this.#output.columns || SIZE.width, height: this.#output.rows || SIZE.height };
  }

  write(text: string): void {
    this.#output.write(text);
  }

  /**
   * Begins to watch. isFullScreen: takes the alternate screen and reads keys. Resolves when q or Ctrl-C is
   * pressed, or a signal asks to end.
   */
  open(isFullScreen: boolean): Promise<void> {
    const left = new Promise<void>((resolve) => {
      this.#leave = resolve;
    });
    for (const signal of SIGNALS) process.on(signal, this.#onSignal);
    this.#isFullScreen = isFullScreen;
    if (!isFullScreen) return left;
    // A fault of this program ends it without passing by close().
    process.on("exit", this.#onExit);
    if (this.#input.isTTY === true) {
      this.#input.setRawMode?.(true);
      this.#input.on("data", this.#onKeys);
      this.#input.resume();
    }
    this.#output.write(ENTER);
    return left;
  }

  /** Shows a text in place of the one before. */
  draw(text: string): void {
    const lines = text.split("\n").map((line) => `${line}${CLEAR_LINE_END}`);
    this.#output.write(`${HOME}${lines.join("\r\n")}${CLEAR_BELOW}`);
  }

  /** Gives everything back. May be called again. */
  close(): void {
    for (const signal of SIGNALS) process.off(signal, this.#onSignal);
    process.off("exit", this.#onExit);
    if (!this.#isFullScreen) return;
    this.#isFullScreen = false;
    this.#output.write(LEAVE);
    if (this.#input.isTTY !== true) return;
    this.#input.off("data", this.#onKeys);
    this.#input.setRawMode?.(false);
    this.#input.pause();
  }
}
