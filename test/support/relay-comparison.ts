/** Runs the relay's kernel beside its model. */
import assert from "node:assert/strict";
import {
  DROP_CARDINALITY,
  DROP_COUNT,
  DROP_FILTERED,
  DROP_NO_ROUTE,
} from "../../shared/kernel/relay-codes.ts";
import { fillSlots, PacketLog } from "./packets.ts";
import { loadPacker, type PlanOptions, planWith } from "./plans.ts";
import { RelayModel } from "./relay-model.ts";

/** One thing that happens to a kernel. Datagrams are latin1 strings. */
export type Step =
  | { readonly kind: "batch"; readonly datagrams: readonly string[]; readonly isCut: boolean }
  | { readonly kind: "flush" }
  | { readonly kind: "forget" }
  | { readonly kind: "own"; readonly line: string }
  | { readonly kind: "states"; readonly states: readonly number[] };

const HASH_SEED = 0x1234_5678_9abc_def0n;

/**
 * Drops by their codes. A name that no route takes has another reason once its cap is full, and the kernel
 * asks again about a name that is new in several lines of one table.
 */
function comparable(drops: readonly number[], hasCaps: boolean): number[] {
  if (!hasCaps) return [...drops];
  const byName = [DROP_NO_ROUTE, DROP_FILTERED, DROP_CARDINALITY];
  return [sum(byName.map((code) => drops[code]!)), ...drops.filter((_, code) => !byName.includes(code))];
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}

/** Runs the steps through kernel and model and compares all that can be seen of them. */
export async function compareWithModel(
  options: PlanOptions,
  steps: readonly Step[],
  debug: boolean,
): Promise<void> {
  const plan = planWith(options);
  const packer = await loadPacker(options, { debug, hashSeed: HASH_SEED });
  const model = new RelayModel(plan, HASH_SEED);
  const log = new PacketLog(packer);
  const { exports } = packer;
  for (const step of [...steps, { kind: "flush" } as const]) {
    if (step.kind === "batch") {
      const datagrams = step.datagrams.map((text) => Buffer.from(text, "latin1"));
      fillSlots(packer, datagrams, step.isCut);
      for (;;) {
        const code = exports.consume(datagrams.length);
        if (code === 0) break;
        if (code === 2) packer.judgeNames();
        else log.take();
      }
      for (const datagram of datagrams) model.consume(datagram, step.isCut);
    } else if (step.kind === "states") {
      const states = plan.destinations.map((_, index) => step.states[index % step.states.length]!);
      packer.setStates(states);
      model.setStates(states);
    } else if (step.kind === "own") {
      log.take();
      const bytes = Buffer.from(`${step.line}\n`);
      bytes.copy(Buffer.from(packer.memory.buffer), exports.hostText());
      exports.ownLine(step.line.indexOf(":"), bytes.length);
      model.ownLine(step.line, step.line.indexOf(":"));
    } else if (step.kind === "forget") {
      exports.forgetNames();
      model.forgetNames();
    } else {
      log.take();
      packer.addSelfStat();
      log.take();
      exports.flush();
      model.flush();
    }
    log.take();
    assert.deepEqual(log.packets, model.packets, step.kind);
    for (const [index, count] of model.waiting.entries()) assert.equal(exports.linesWaiting(index), count);
  }
  const drops = Array.from({ length: DROP_COUNT }, (_, code) => exports.linesDropped(code));
  const hasCaps = (plan.rules?.caps ?? []).length > 0;
  const routed = plan.destinations.map((_, index) => exports.linesRouted(index));
  const down = plan.destinations.map((_, index) => exports.linesDown(index));
  assert.deepEqual(
    {
      received: exports.received(),
      accepted: exports.linesAccepted(),
      copied: exports.linesCopied(),
      own: exports.selfLines(),
      noColon: exports.droppedNoColon(),
      cut: exports.droppedCut(),
      drops: comparable(drops, hasCaps),
      routed,
      down,
    },
    {
      received: model.received,
      accepted: model.accepted,
      copied: model.copied,
      own: model.own,
      noColon: model.noColon,
      cut: model.cut,
      drops: comparable(model.dropped, hasCaps),
      routed: model.routed,
      down: model.down,
    },
  );
  assert.equal(exports.received(), exports.linesAccepted() + model.noColon + model.cut + sum(drops));
  assert.equal(exports.linesAccepted() + exports.linesCopied() + exports.selfLines(), sum(routed));
  assert.equal(log.lines + sum(down), sum(routed));
}
