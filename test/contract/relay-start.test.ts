/** The relay's start, within this process: what it may do without. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { startRelay } from "../../relay/relay.ts";
import { parseConfig } from "../../shared/config.ts";
import { OperatorError } from "../../shared/errors.ts";
import type { Log } from "../../shared/log.ts";

function recordingLog(events: string[]): Log {
  const record = (event: string): void => void events.push(event);
  return { error: record, warn: record, info: record, debug: record };
}

test("a relay goes on without its pages where nobody asked for them and the port is taken", async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  const { port } = other.address() as AddressInfo;
  const keys = ["listen = udp://127.0.0.1:0", "destinations = 127.0.0.1:9", `management = 127.0.0.1:${port}`];
  const { relay: config } = parseConfig(["[relay]", ...keys].join("\n"), "test");
  const events: string[] = [];
  const relay = await startRelay(config, recordingLog(events), { isManagementOptional: true });
  assert.equal(relay.management, undefined);
  assert.deepEqual(events, ["relay.no_management"]);
  assert.equal(await relay.stop(), true);
  await assert.rejects(startRelay(config, recordingLog(events)), OperatorError);
  other.close();
});
