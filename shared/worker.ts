/**
 * Worker threads with a start that either succeeds or says why not.
 *
 *   parent                         worker
 *   startWorker(url, data)  ---->  opens its sockets
 *   resolves or rejects     <----  reportReady | reportFailure
 *   onMessage               <----  any other message
 *   onExit                  <----  the thread ended, for whatever reason
 *
 * Nothing here calls terminate(): a thread that blocks in a system call is not ended by it. Such workers
 * look at a word in shared memory (CONTROL_RUN, CONTROL_DRAIN) and leave by themselves.
 */
import { type MessagePort, type ResourceLimits, type TransferListItem, Worker } from "node:worker_threads";
import { OperatorError } from "./errors.ts";

/** What a parent wants to hear of its worker. Message: what the worker posts once it is ready. */
export interface WorkerEvents<Message> {
  onMessage(message: Message): void;
  /**
   * Called once when a worker that was ready has ended. code: its exit code. error: the uncaught error that
   * ended it, if one did.
   */
  onExit(code: number, error: Error | undefined): void;
  readonly resourceLimits?: ResourceLimits;
  /** What of `data` moves to the worker, such as ports. */
  readonly transferList?: readonly TransferListItem[];
}

/** A worker that reported ready. Info: what it said then. */
export interface StartedWorker<Info> {
  readonly worker: Worker;
  readonly info: Info;
  /** Resolves with the exit code; never rejects. */
  readonly exited: Promise<number>;
}

type Handshake<Info> =
  | { readonly kind: "ready"; readonly info: Info }
  | { readonly kind: "failed"; readonly message: string; readonly exitCode?: number };

/** Tells the parent that this worker serves. info: anything that can be cloned. */
export function reportReady<Info>(port: MessagePort, info: Info): void {
  port.postMessage({ kind: "ready", info } satisfies Handshake<Info>);
}

/**
 * Tells the parent that this worker cannot start, and why; an OperatorError stays one on the other side.
 * The port is closed, so the thread ends unless something else keeps its event loop busy.
 */
export function reportFailure(port: MessagePort, error: unknown): void {
  const failed: Handshake<never> =
    error instanceof OperatorError
      ? { kind: "failed", message: error.message, exitCode: error.exitCode }
      : { kind: "failed", message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  port.postMessage(failed);
  port.close();
}

/**
 * Starts a worker and waits until it serves. url: its module. data: what it finds in workerData.
 * Rejects with the OperatorError that the worker reported, or with Error when it ended without a word.
 */
export function startWorker<Info, Message = never>(
  url: URL,
  data: unknown,
  events: WorkerEvents<Message>,
): Promise<StartedWorker<Info>> {
  const { resourceLimits, transferList } = events;
  const worker = new Worker(url, {
    workerData: data,
    ...(transferList === undefined ? {} : { transferList: [...transferList] }),
    ...(resourceLimits === undefined ? {} : { resourceLimits }),
  });
  let isReady = false;
  let uncaught: Error | undefined;
  const exited = new Promise<number>((resolve) => worker.once("exit", resolve));
  return new Promise((resolve, reject) => {
    worker.on("error", (error: unknown) => {
      uncaught = error instanceof Error ? error : new Error(String(error));
      // One that is not ready yet has nobody but the promise to tell.
      if (!isReady) reject(uncaught);
    });
    worker.on("message", (message: Message | Handshake<Info>) => {
      if (isReady) {
        events.onMessage(message as Message);
        return;
      }
      const first = message as Handshake<Info>;
      if (first.kind === "ready") {
        isReady = true;
        resolve({ worker, info: first.info, exited });
      } else {
        // Whatever it still holds open shall not keep the process from ending.
        worker.unref();
        reject(handshakeError(first.message, first.exitCode));
      }
    });
    worker.once("exit", (code) => {
      if (isReady) events.onExit(code, uncaught);
      else reject(new Error(`worker ${url.pathname} ended with code ${code} before it was ready`));
    });
  });
}

function handshakeError(message: string, exitCode: number | undefined): Error {
  return exitCode === undefined ? new Error(message) : new OperatorError(message, exitCode);
}
