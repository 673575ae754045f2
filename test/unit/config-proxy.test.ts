/** Files of the Rust sharding proxy, taken as they are. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parseFlags } from "../../relay/flags.ts";
import { loadConfig, parseConfig, printConfig, type RelayConfig } from "../../shared/config.ts";
import { isProxyIni } from "../../shared/config-proxy.ts";
import { faultsOf, warningsOf } from "../support/config-fault.ts";

type Variables = Readonly<Record<string, string>>;

/** listen, threads, destinations and hash of a file, with flags and environment. */
function means(text: string, line = "", variables: Variables = {}): unknown[] {
  const flags = parseFlags(["--config", "x.ini", ...line.split(" ").filter((one) => one !== "")]);
  const config = parseConfig(text, "x.ini", flags.overrides, undefined, variables);
  assert.equal(config.fileKind, "proxy");
  const { listen, threads, destinations, hash } = config.relay;
  return [
    listen.map((one) => ("port" in one ? `${one.host} ${one.port}` : "")).join(),
    threads,
    destinations,
    hash,
  ];
}

/** With the values that the proxy is shipped with. */
const SHIPPED = [
  "bind_interface = 0.0.0.0",
  "bind_port = 8125",
  "threads = 3",
  "destinations = 127.0.0.1:8126 127.0.0.1:8127 127.0.0.1:8128",
].join("\n");
const LOCAL = ["127.0.0.1:8126", "127.0.0.1:8127", "127.0.0.1:8128"];

test("the shipped file", () => {
  assert.deepEqual(means(SHIPPED), ["0.0.0.0 8125", 3, LOCAL, "djb2-mod"]);
  assert.deepEqual(warningsOf(SHIPPED), [
    "x.ini is a file of the Rust sharding proxy: " +
      "the relay listens on udp://0.0.0.0:8125, with hash = djb2-mod",
  ]);
});

test("everything else is as without a file", () => {
  const { relay, fileKind: _, ...others } = parseConfig(SHIPPED, "x.ini");
  const { relay: bare, fileKind: __, ...defaults } = parseConfig("", "x.ini");
  const { listen, threads, destinations, hash } = relay;
  assert.deepEqual(relay, { ...bare, listen, threads, destinations, hash } satisfies RelayConfig);
  assert.deepEqual(others, defaults);
});

test("printed, it is a file of the suite that means the same", () => {
  const config = parseConfig(SHIPPED, "x.ini");
  assert.deepEqual(parseConfig(printConfig(config), "x.ini"), { ...config, fileKind: "suite" });
});

/** Ways to write the same. */
const ALIKE: Readonly<Record<string, string>> = {
  "with a section": `[statsd]\n${SHIPPED}`,
  "with blanks, comments and CRLF": `\uFEFF\n;x\n# bind_port=1\n${SHIPPED.replaceAll("\n", " \t\r\n\r\n")}`,
  "without blanks": SHIPPED.replaceAll(" = ", "="),
  "with comments behind": SHIPPED.replaceAll("\n", " ; note\n").concat("  # note"),
  "in double quotes": SHIPPED.replaceAll(/= (.*)/g, '= "$1"'),
  "in single quotes, with comments": SHIPPED.replaceAll(/= (.*)/g, "= '$1' # note"),
  "with tabs and many blanks between": SHIPPED.replaceAll("1:8126 ", "1:8126  \t "),
  "in another order": SHIPPED.split("\n").reverse().join("\n"),
};

for (const [what, text] of Object.entries(ALIKE)) {
  test(`the shipped file ${what}`, () => assert.deepEqual(means(text), means(SHIPPED)));
}

test("what it does not say has the proxy's defaults", () => {
  assert.deepEqual(means("bind_port = 1"), ["0.0.0.0 1", 1, [], "djb2-mod"]);
  assert.deepEqual(means("bind_interface = ::1"), ["::1 8125", 1, [], "djb2-mod"]);
  assert.deepEqual(means("bind_interface = [::1]\nbind_port = 2"), ["::1 2", 1, [], "djb2-mod"]);
});

test("variables override the file, flags both", () => {
  const variables = { BIND_INTERFACE: "127.0.0.1", BIND_PORT: "1", THREADS: "4" };
  assert.deepEqual(means(SHIPPED, "", variables), ["127.0.0.1 1", 4, LOCAL, "djb2-mod"]);
  assert.deepEqual(means(SHIPPED, "", { BIND_PORT: " 1 ", THREADS: "" }), [
    "0.0.0.0 1",
    3,
    LOCAL,
    "djb2-mod",
  ]);
  const line = "-b 127.0.0.2 -p 2 --threads 5 --hash fnv1a-jump a:1";
  assert.deepEqual(means(SHIPPED, line, variables), ["127.0.0.2 2", 5, ["a:1"], "fnv1a-jump"]);
  // A flag for one half of the address leaves the other as it is.
  assert.deepEqual(means(SHIPPED, "-p 2", variables)[0], "127.0.0.1 2");
  assert.deepEqual(means(SHIPPED, "-b ::1", variables)[0], "::1 1");
  assert.deepEqual(means(SHIPPED, "-p 2")[0], "0.0.0.0 2");
  assert.deepEqual(means(SHIPPED, "--listen udp://127.0.0.3:3", variables)[0], "127.0.0.3 3");
  // What is overridden may be faulty.
  assert.deepEqual(means("bind_port = x\nthreads = y", "", variables), ["127.0.0.1 1", 4, [], "djb2-mod"]);
});

test("the variables are those of the process", () => {
  const folder = mkdtempSync(join(tmpdir(), "proxy-test-"));
  const file = join(folder, "config.ini");
  const before = process.env.BIND_PORT;
  try {
    writeFileSync(file, SHIPPED);
    process.env.BIND_PORT = "1";
    assert.deepEqual(loadConfig(file).relay.listen, [{ kind: "udp", host: "0.0.0.0", port: 1 }]);
  } finally {
    if (before === undefined) delete process.env.BIND_PORT;
    else process.env.BIND_PORT = before;
    rmSync(folder, { recursive: true });
  }
});

test("variables mean nothing to other files", () => {
  const { relay } = parseConfig("[relay]\nthreads = 2", "x.ini", [], undefined, {
    THREADS: "4",
    BIND_PORT: "1",
  });
  assert.deepEqual([relay.threads, relay.listen], [2, [{ kind: "udp", host: "0.0.0.0", port: 9125 }]]);
});

const FOUR =
  "a file of the Rust sharding proxy has bind_interface, bind_port, threads, destinations and nothing else";

/** Lines that take the place of one of the shipped file, and what is wrong with them. */
const SPOILED: readonly (readonly [from: string, to: string, fault: string])[] = [
  ["8125", "65536", 'line 2: bind_port = 65536: has the port "65536"; choose within 0..65535'],
  ["8125", "http", 'line 2: bind_port = http: has the port "http"; choose within 0..65535'],
  ["8125", "", 'line 2: bind_port = : has the port ""; choose within 0..65535'],
  [
    "0.0.0.0",
    "0.0.0",
    'line 1: bind_interface = 0.0.0: has "0.0.0" for an IPv4 address; write four numbers 0..255',
  ],
  [
    "0.0.0.0",
    "a b",
    'line 1: bind_interface = a b: has "a b" for a host; write a name, an IPv4 address or [IPV6]',
  ],
  ["= 3", "= 0", "line 3: threads = 0: is too small; choose within 1..64"],
  [
    "= 3",
    "= many",
    "line 3: threads = many: is no whole number; write digits without blanks, signs or units",
  ],
  ["threads", "thread", `line 3: thread = 3: did you mean threads? ${FOUR}`],
  ["threads", "listen", `line 3: listen = 3: ${FOUR}`],
  ["threads", "__proto__", `line 3: __proto__ = 3: ${FOUR}`],
  ["threads = 3", "threads", "line 3: threads: has no value; write threads = VALUE"],
  ["threads = 3", "three of them", `line 3: three of them: ${FOUR}`],
  ["threads = 3", "bind_port = 1", "line 3: bind_port = 1: is set already, in line 2; keep one of them"],
  [
    "threads = 3",
    "threads = \u00073",
    "line 3: threads = \\u{7}3: has a character that cannot be printed; remove it",
  ],
  [
    "127.0.0.1:8127",
    "127.0.0.1",
    "line 4: destinations = 127.0.0.1: has no port; " +
      "write HOST:PORT or HOST:PORT:INSTANCE, with an IPv6 address in brackets",
  ],
  [
    "8126 127.0.0.1:8127",
    "8126,127.0.0.1:8127",
    'line 4: destinations = 127.0.0.1:8126,127.0.0.1:8127: has the port "8126,127.0.0.1"; ' +
      "choose within 1..65535, or a service name",
  ],
];

for (const [from, to, fault] of SPOILED) {
  test(`the shipped file with ${JSON.stringify(to)} for ${JSON.stringify(from)}`, () => {
    assert.equal(faultsOf(SHIPPED.replace(from, to)), fault);
  });
}

test("the four keys of an old file are told apart from a fifth", () => {
  const old =
    'bind_address=192.168.1.120\nbind_port=5001\ndestinations = "192.168.3.74:5002 192.168.1.120:5002"';
  assert.equal(faultsOf(old), `line 1: bind_address=192.168.1.120: ${FOUR}`);
});

test("faults of variables name them", () => {
  const port = 'BIND_PORT: "x" has the port "x"; choose within 0..65535';
  assert.equal(faultsOf(SHIPPED, [], { BIND_PORT: "x" }), port);
  assert.throws(
    () => parseConfig(SHIPPED.replace("= 3", "= 0"), "x.ini", [], undefined, { BIND_PORT: "x" }),
    new RegExp(`^OperatorError: x\\.ini and environment: 2 faults\n  line 3: .*\n  ${port}$`),
  );
});

test("what is no such file", () => {
  for (const text of [
    "",
    "threads = 1",
    "destinations = a:1",
    "[relay]\nbind_port = 1",
    "# bind_port = 1",
    "bind_port",
  ]) {
    assert.equal(isProxyIni(text), false, text);
  }
  assert.match(
    faultsOf(`[relay]\n${SHIPPED}`),
    /^line 2: relay\.bind_interface = 0\.0\.0\.0: is an unknown key; /,
  );
  assert.equal(faultsOf("bind_port = 1\nx\n".concat("y\n".repeat(200))).split("\n").length, 101);
});
