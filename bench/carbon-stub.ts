/** Where rows go in measurements. */
import { type AddressInfo, createServer, type Server } from "node:net";

const MIB = 1024 * 1024;

/** Carbon's part: it takes everything, and only notes when it got its last bytes of each interval. */
export class CarbonStub {
  readonly #server: Server;
  readonly #intervalMs: number;
  /** Wall clock of the last bytes, by the interval in which they came. */
  readonly #last = new Map<number, { atMs: number; bytes: number }>();

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
    this.#server = createServer((socket) => {
      socket.on("error", () => {});
      socket.on("data", (bytes: Buffer) => this.#note(bytes.length));
    });
  }

  #note(bytes: number): void {
    const atMs = Date.now();
    const interval = Math.floor(atMs / this.#intervalMs);
    const before = this.#last.get(interval)?.bytes ?? 0;
    this.#last.set(interval, { atMs, bytes: before + bytes });
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return (this.#server.address() as AddressInfo).port;
  }

  /** Milliseconds from the interval's end to its last byte, for each interval that brought a megabyte. */
  deliveries(): number[] {
    const large = [...this.#last].filter(([, { bytes }]) => bytes > MIB);
    return large.map(([interval, { atMs }]) => atMs - interval * this.#intervalMs);
  }

  close(): void {
    this.#server.close();
  }
}
