/** A worker that starts, or fails to, in the way that its parent names. */
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { EXIT_CONFIG, OperatorError } from "../../shared/errors.ts";
import { reportFailure, reportReady } from "../../shared/worker.ts";

/** What the worker does: `echo` answers messages until it is told to leave, the others act at once. */
export type HandshakeAct =
  | "echo"
  | "operator-error"
  | "fault"
  | "no-error"
  | "busy-failure"
  | "throw"
  | "exit-early"
  | "end-early";

/** What an echoing worker understands. */
export type EchoOrder = "throw" | "leave" | "exit" | { readonly text: string };

const DAY_MS = 86_400_000;

function echo(port: MessagePort): void {
  port.on("message", (order: EchoOrder) => {
    if (order === "throw") throw new TypeError("thrown while serving");
    if (order === "exit") process.exit(7);
    if (order === "leave") port.close();
    else port.postMessage(order);
  });
  reportReady(port, { ports: [8125] });
  // Posted at once, so that it can arrive together with the report.
  port.postMessage({ text: "first" });
}

const acts: Readonly<Record<HandshakeAct, (port: MessagePort) => void>> = {
  echo,
  "operator-error": (port) => reportFailure(port, new OperatorError("port 8125 is taken", EXIT_CONFIG)),
  fault: (port) => reportFailure(port, new RangeError("an index too large")),
  "no-error": (port) => reportFailure(port, "only a text"),
  "busy-failure": (port) => {
    setInterval(() => {}, DAY_MS);
    reportFailure(port, new OperatorError("failed, but busy"));
  },
  throw: () => {
    throw new TypeError("thrown while starting");
  },
  "exit-early": () => process.exit(3),
  "end-early": () => {},
};

acts[workerData as HandshakeAct](parentPort!);
