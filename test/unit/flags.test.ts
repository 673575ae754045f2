/** The command line of statsrelay, as Go statsrelay reads it and beyond. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FLAGS, relayUsage } from "../../relay/flag-table.ts";
import { parseFlags, requireDestinations } from "../../relay/flags.ts";
import { loadConfig, parseConfig } from "../../shared/config.ts";
import { OperatorError } from "../../shared/errors.ts";

/** Splits at blanks; `''` stands for an empty argument. */
function split(line: string): string[] {
  return line === "" ? [] : line.split(" ").map((argument) => argument.replaceAll("''", ""));
}

/** Overrides as `section.key=value,value (origin)`, but for the default listen address. */
function overrides(line: string): string[] {
  return parseFlags(split(line))
    .overrides.filter(({ origin }) => origin !== "default")
    .map(({ section, key, values, origin }) => `${section}.${key}=${values.join(",")} (${origin})`);
}

/** First line and exit code of what is thrown; the usage follows a fault of the flags and no other. */
function fault(line: string): string {
  try {
    parseFlags(split(line));
  } catch (error) {
    assert.ok(error instanceof OperatorError, String(error));
    const hasUsage = error.message.endsWith(`\n${relayUsage()}`);
    assert.equal(hasUsage, error.exitCode === 2);
    return `${error.exitCode}: ${error.message.split("\n")[0]}`;
  }
  assert.fail(`accepted: ${line}`);
}

/** Arguments, and the overrides that they become. Each is tried with one dash and with two. */
const GOOD: readonly (readonly [line: string, ...overrides: string[]])[] = [
  [""],
  ["-b 127.0.0.1", "relay.listen=udp://127.0.0.1:9125 (-b)"],
  ["-bind 127.0.0.1", "relay.listen=udp://127.0.0.1:9125 (-bind)"],
  ["-b ::1 -p 1", "relay.listen=udp://[::1]:1 (-b -p)"],
  ["-p 1 -b [::1]", "relay.listen=udp://[::1]:1 (-b -p)"],
  ["-b localhost", "relay.listen=udp://localhost:9125 (-b)"],
  ["-b ''", "relay.listen=udp://*:9125 (-b)"],
  ["-b 0.0.0.0", "relay.listen=udp://*:9125 (-b)"],
  ["-b * -p 1", "relay.listen=udp://*:1 (-b -p)"],
  ["-b ::", "relay.listen=udp://[::]:9125 (-b)"],
  ["-p 0x10", "relay.listen=udp://*:16 (-p)"],
  ["-port=8_125", "relay.listen=udp://*:8125 (-port)"],
  ["-p 1 -port 2", "relay.listen=udp://*:2 (-port)"],
  ["-prefix a.b", "relay.prefix=a.b (-prefix)"],
  ["-prefix=", "relay.prefix= (-prefix)"],
  ["-prefix ''", "relay.prefix= (-prefix)"],
  ["-metrics-prefix -x", "relay.metrics-prefix=-x (-metrics-prefix)"],
  ["-metrics-tags a:b,c:d=e", "relay.metrics-tags=a:b,c:d=e (-metrics-tags)"],
  ["-packetlen 0b1000", "relay.packetlen=8 (-packetlen)"],
  ["-packetlen 010", "relay.packetlen=8 (-packetlen)"],
  ["-packetlen +1_400", "relay.packetlen=1400 (-packetlen)"],
  ["-bufsize 65536", "relay.receive-buffer=65536 (-bufsize)"],
  ["-bufsize 0", "relay.receive-buffer=1024 (-bufsize)"],
  ["-bufsize -1", "relay.receive-buffer=1024 (-bufsize)"],
  ["-bufsize 2147483647", "relay.receive-buffer=1073741824 (-bufsize)"],
  ["-sendproto UDP", "relay.sendproto=udp (-sendproto)"],
  ["-sendproto tcp", "relay.sendproto=tcp (-sendproto)"],
  ["-sendproto TLS", "relay.sendproto=tls (-sendproto)"],
  ["-sendproto Test", "relay.sendproto=test (-sendproto)"],
  ["-v", "log.level=debug (-v)"],
  ["-verbose", "log.level=debug (-verbose)"],
  ["-v=T", "log.level=debug (-v)"],
  ["-v=FALSE"],
  ["-v -verbose=0"],
  ["-v -log-level warn", "log.level=debug (-v)", "log.level=warn (-log-level)"],
  ["-log-level warn -v", "log.level=warn (-log-level)", "log.level=debug (-v)"],
  ["-t 2s", "relay.connect-timeout=2s (-t)", "relay.write-timeout=2s (-t)"],
  ["-t 0", "relay.connect-timeout=10ms (-t)", "relay.write-timeout=10ms (-t)"],
  ["-tcptimeout 1m30s", "relay.connect-timeout=90s (-tcptimeout)", "relay.write-timeout=90s (-tcptimeout)"],
  ["-tcptimeout=-1.5h", "relay.connect-timeout=10ms (-tcptimeout)", "relay.write-timeout=10ms (-tcptimeout)"],
  ["-tcptimeout=1h", "relay.connect-timeout=5m (-tcptimeout)", "relay.write-timeout=5m (-tcptimeout)"],
  ["-tcpmaxactive -1"],
  ["-tcpmaxidle 10"],
  ["-tcpmaxtimeout 5m"],
  ["-tcpmaxnew 0o17"],
  ["-backoff-retries 3"],
  ["-backoff-min 50ms", "relay.retry-delay=50ms (-backoff-min)"],
  ["-backoff-min 1us", "relay.retry-delay=1ms (-backoff-min)"],
  ["-backoff-max 1.5s", "relay.retry-delay-max=1500ms (-backoff-max)"],
  ["-backoff-max 999h", "relay.retry-delay-max=1h (-backoff-max)"],
  ["-backoff-factor 1.5e0", "relay.retry-delay-multiplier=1.5 (-backoff-factor)"],
  ["-backoff-factor 0.5", "relay.retry-delay-multiplier=1 (-backoff-factor)"],
  ["-backoff-factor +Inf", "relay.retry-delay-multiplier=100 (-backoff-factor)"],
  ["-dnscache"],
  ["-dnscache=false"],
  ["-dnscache-time 1s"],
  ["-dnscache-purge .5s"],
  ["-dnscache-expiration 1\u00b5s"],
  ["-maxprocs 2"],
  ["-pprof"],
  ["-pprof-bind :8080"],
  ["-threads 2", "relay.threads=2 (-threads)"],
  ["-listen udp://127.0.0.1:1", "relay.listen=udp://127.0.0.1:1 (-listen)"],
  ["-listen tcp://*:1,,unix:///a", "relay.listen=tcp://*:1,unix:///a (-listen)"],
  ["-listen udp://*:1 -listen tcp://*:2", "relay.listen=tcp://*:2 (-listen)"],
  ["-hash djb2-mod", "relay.hash=djb2-mod (-hash)"],
  ["-key sorted", "relay.key=sorted (-key)"],
  ["-replicas 2", "relay.replicas=2 (-replicas)"],
  ["-on-dead next", "relay.on-dead=next (-on-dead)"],
  ["-expect-ring 0123456789ABCDEF", "relay.expect-ring=0123456789ABCDEF (-expect-ring)"],
  ["-strict-packetlen", "relay.strict-packetlen=yes (-strict-packetlen)"],
  ["-strict-packetlen=F", "relay.strict-packetlen=no (-strict-packetlen)"],
  ["-trim-cr", "relay.trim-cr=yes (-trim-cr)"],
  ["-tags-in-section=1", "relay.tags-in-section=yes (-tags-in-section)"],
  ["-validate=TRUE", "relay.validate=yes (-validate)"],
  ["-tag-format graphite", "relay.tag-format=graphite (-tag-format)"],
  ["-metrics-suffix s", "relay.metrics-suffix=s (-metrics-suffix)"],
  ["-health http:80/a", "relay.health=http:80/a (-health)"],
  ["-health-listen [::1]:0", "relay.health-listen=[::1]:0 (-health-listen)"],
  ["-drain-delay 5s", "relay.drain-delay=5s (-drain-delay)"],
  ["-spool-dir /a", "relay.spool-dir=/a (-spool-dir)"],
  ["-resolve-interval 0", "relay.resolve-interval=0 (-resolve-interval)"],
  ["-stats full", "relay.stats=full (-stats)"],
  ["-handover 10s", "relay.handover=10s (-handover)"],
  ["-io dgram", "relay.io=dgram (-io)"],
  ["-flush-interval 100ms", "relay.flush-interval=100ms (-flush-interval)"],
  ["-flush-interval=100", "relay.flush-interval=100 (-flush-interval)"],
  ["-management 127.0.0.1:0", "relay.management=127.0.0.1:0 (-management)"],
  ["-management ''", "relay.management= (-management)"],
  ["-drain-timeout 2s", "relay.drain-timeout=2s (-drain-timeout)"],
  ["-log-format text", "log.format=text (-log-format)"],
  ["-threads 1 -threads 2", "relay.threads=2 (-threads)"],
  ["tcp://a:1 a:1*3 unixgram:///b", "relay.destinations=tcp://a:1,a:1*3,unixgram:///b (destination)"],
  ["a:1 [::1]:2:x :3", "relay.destinations=a:1,[::1]:2:x,:3 (destination)"],
  ["-v a:1", "log.level=debug (-v)", "relay.destinations=a:1 (destination)"],
  ["-- a:statsd", "relay.destinations=a:statsd (destination)"],
  ["-threads 2 -- a:1", "relay.threads=2 (-threads)", "relay.destinations=a:1 (destination)"],
];

for (const [line, ...expected] of GOOD) {
  test(`statsrelay ${line}`, () => {
    assert.deepEqual(overrides(line), expected);
    const twoDashes = (text: string): string => text.replace(/(^|[ (])-(?=[a-z])(?!x)/g, "$1--");
    assert.deepEqual(overrides(twoDashes(line)), expected.map(twoDashes));
    // What is taken here is taken by the configuration as well.
    loadConfig(undefined, parseFlags(split(line)).overrides);
  });
}

test("every flag that sets an option is tried", () => {
  const lines = GOOD.map(([line]) => line);
  for (const { names, effect } of FLAGS) {
    if (effect.kind !== "option" && effect.kind !== "options") continue;
    for (const name of names)
      assert.ok(
        lines.some((line) => new RegExp(`-${name}\\b`).test(line)),
        name,
      );
  }
});

test("the table has every flag of Go statsrelay", () => {
  const names =
    "b bind p port prefix metrics-prefix metrics-tags packetlen bufsize sendproto t tcptimeout " +
    "tcpmaxactive tcpmaxidle tcpmaxtimeout tcpmaxnew dnscache dnscache-time dnscache-purge " +
    "dnscache-expiration maxprocs pprof pprof-bind v verbose backoff-retries backoff-min backoff-max " +
    "backoff-factor";
  const lines = GOOD.map(([line]) => line);
  for (const name of names.split(" ")) {
    assert.ok(
      FLAGS.some((flag) => flag.names.includes(name)),
      name,
    );
    assert.ok(
      lines.some((line) => line.startsWith(`-${name}`)),
      `-${name} is not tried`,
    );
  }
});

const WHOLE = "give a whole number, such as 1400 or 0x578";
const DURATION = "give a duration with its unit, such as 1.5s or 1m30s";
const DESTINATION = "write HOST:PORT or HOST:PORT:INSTANCE, with an IPv6 address in brackets";

const URLS = "write udp://HOST:PORT, tcp://HOST:PORT, unixgram:///PATH or unix:///PATH";

/** Arguments, and exit code and fault. */
const BAD: readonly (readonly [line: string, fault: string])[] = [
  ["-x", "2: -x is an unknown flag"],
  ["--strict-packetlen=yes", '2: --strict-packetlen: "yes" is no value for it; give true or false'],
  ["--listen ''", '2: --listen: "" is empty; name at least one listen URL'],
  ["--listen a:1", '2: --listen: "a:1" has no scheme; write udp://a:1'],
  ["--listen udp://a:1,b", `2: --listen: "b" is no listen URL; ${URLS}`],
  ["--listen udp://a:1 -p 1", "2: --listen and -p both say where to listen; give one of them"],
  ["--hash djb2", '2: --hash: "djb2" is unknown; write djb2-mod'],
  ["--replicas 0", '2: --replicas: "0" is too small; choose within 1..16'],
  ["--health http", '2: --health: "http" has no port to ask; write http:PORT/PATH'],
  ["-backoff-factor NaN", '2: -backoff-factor: "NaN" is no value for it; give a number, such as 1.5'],
  ["--constructor", "2: --constructor is an unknown flag"],
  ["--__proto__=1", "2: --__proto__ is an unknown flag"],
  ["---v", '2: "---v" is no flag'],
  ["-=1", '2: "-=1" is no flag'],
  ["--=1", '2: "--=1" is no flag'],
  ["-V", "2: -V is an unknown flag"],
  ["-x -h", "2: -x is an unknown flag"],
  ["-p", "2: -p needs a value: a whole number, such as 1400 or 0x578"],
  ["a:1 -p 9", `1: destination "-p" has no port; ${DESTINATION} (flags go before the destinations)`],
  ["-p x", `2: -p: "x" is no value for it; ${WHOLE}`],
  ["-p 08", `2: -p: "08" is no value for it; ${WHOLE}`],
  ["-p _1", `2: -p: "_1" is no value for it; ${WHOLE}`],
  ["-p 1__0", `2: -p: "1__0" is no value for it; ${WHOLE}`],
  ["-p 1.5", `2: -p: "1.5" is no value for it; ${WHOLE}`],
  ["-p=", `2: -p: "" is no value for it; ${WHOLE}`],
  ["-p 9223372036854775808", `2: -p: "9223372036854775808" is no value for it; ${WHOLE}`],
  ["-p 65536", '2: -p: "*:65536" has the port "65536"; choose within 0..65535'],
  ["-p -1", '2: -p: "*:-1" has the port "-1"; choose within 0..65535'],
  ["-b 1.2.3", '2: -b: "1.2.3:9125" has "1.2.3" for an IPv4 address; write four numbers 0..255'],
  ["-packetlen 65508", '2: -packetlen: "65508" is too large; choose within 0..65507'],
  ["-packetlen -1", '2: -packetlen: "-1" is no whole number; write digits without blanks, signs or units'],
  ["-bufsize 16m", `2: -bufsize: "16m" is no value for it; ${WHOLE}`],
  ["-sendproto sctp", '2: -sendproto: "sctp" is unknown; choose one of udp, tcp, tls, test'],
  ["-t 1", `2: -t: "1" is no value for it; ${DURATION}`],
  ["-t 1d", `2: -t: "1d" is no value for it; ${DURATION}`],
  ["-t .s", `2: -t: ".s" is no value for it; ${DURATION}`],
  ["-t ''", `2: -t: "" is no value for it; ${DURATION}`],
  ["-v=yes", '2: -v: "yes" is no value for it; give true or false'],
  ["-v=", '2: -v: "" is no value for it; give true or false'],
  ["-backoff-factor x", '2: -backoff-factor: "x" is no value for it; give a number, such as 1.5'],
  ["--threads 0", '2: --threads: "0" is too small; choose within 1..64'],
  [
    "--flush-interval 1d",
    '2: --flush-interval: "1d" is no duration of whole milliseconds; write 250ms, 30s, 5m or 1h',
  ],
  ["--log-level loud", '2: --log-level: "loud" is unknown; choose one of error, warn, info, debug'],
  ["a", `1: destination "a" has no port; ${DESTINATION}`],
  ["-", `1: destination "-" has no port; ${DESTINATION} (flags go before the destinations)`],
  ["-v true a:1", `1: destination "true" has no port; ${DESTINATION}`],
  ["a:1:b:c", `1: destination "a:1:b:c" has too many colons; ${DESTINATION}`],
  ["::1", `1: destination "::1" is an IPv6 address alone; ${DESTINATION}`],
  ["a:0", '1: destination "a:0" has the port "0"; choose within 1..65535, or a service name'],
  ["a:", '1: destination "a:" has the port ""; choose within 1..65535, or a service name'],
  ["-- -- a:1", `1: destination "--" has no port; ${DESTINATION} (flags go before the destinations)`],
];

for (const [line, expected] of BAD) {
  test(`statsrelay ${line} is refused`, () => assert.equal(fault(line), expected));
}

test("what to do, and with which file", () => {
  const command = (line: string): string => {
    const { action, configFile } = parseFlags(split(line));
    return configFile === undefined ? action : `${action} ${configFile}`;
  };
  assert.equal(command("a:1"), "run");
  assert.equal(command("--config x.ini"), "run x.ini");
  assert.equal(command("-c x.ini -config=y.ini"), "run y.ini");
  assert.equal(command("--check-config --config x.ini"), "check x.ini");
  assert.equal(command("--check-config=false"), "run");
  assert.equal(command("--print-config --check-config"), "print");
  assert.equal(command("--version --print-config nonsense"), "version");
  for (const line of ["-h", "-help", "--h", "--help", "-h=x", "-v -h -x", "-p 1 --help a"]) {
    assert.equal(command(line), "help");
  }
});

test("without a file the relay listens on all interfaces, with one where the file says", () => {
  const listen = (line: string): unknown[] =>
    parseFlags(split(line)).overrides.flatMap(({ key, values }) => (key === "listen" ? values : []));
  assert.deepEqual(listen("a:1"), ["udp://*:9125"]);
  assert.deepEqual(listen("-c x.ini a:1"), []);
  assert.deepEqual(listen("-c x.ini -p 1 a:1"), ["udp://*:1"]);
  const { relay } = loadConfig(undefined, parseFlags(["a:1"]).overrides);
  assert.deepEqual(relay.listen, [{ kind: "udp", host: "*", port: 9125 }]);
});

test("management pages that nobody asked for are optional", () => {
  const isOptional = (line: string): boolean => parseFlags(split(line)).isManagementOptional;
  assert.deepEqual(["a:1", "-c x.ini", "-management 127.0.0.1:1 a:1"].map(isOptional), [true, false, false]);
});

test("flags without effect are told", () => {
  const line = "-tcpmaxidle 1 -backoff-retries 3 --dnscache=false -maxprocs 2 -v a:1";
  const cache =
    "names are looked up in the background and the last good address is kept (--resolve-interval)";
  assert.deepEqual(parseFlags(split(line)).warnings, [
    "-tcpmaxidle has no effect: each destination has one lasting connection",
    "-backoff-retries has no effect: " +
      "what could not be sent is tried once more over a new connection, then queued",
    `--dnscache has no effect: ${cache}`,
    "-maxprocs has no effect: --threads sets the number of receivers",
  ]);
});

test("values that Go takes and the relay bends are told", () => {
  assert.deepEqual(parseFlags(split("-t 0 --backoff-max 1s -backoff-factor 0.5 -bufsize 1 a:1")).warnings, [
    "-t 0 is out of bounds: relay.connect-timeout is 10ms",
    "-t 0 is out of bounds: relay.write-timeout is 10ms",
    "-backoff-factor 0.5 is out of bounds: relay.retry-delay-multiplier is 1",
    "-bufsize 1 is out of bounds: relay.receive-buffer is 1024",
  ]);
});

test("the usage has every flag, with its default", () => {
  const usage = relayUsage();
  for (const { names, kind, fallback } of FLAGS) {
    const line = usage.split("\n").find((one) => one.startsWith(`  -${names.join(", -")}`));
    assert.ok(line?.includes(kind === "boolean" ? "" : fallback), names.join());
  }
  for (const line of usage.split("\n")) assert.ok(line.length <= 110, line);
});

test("destinations come as arguments or from the file", () => {
  requireDestinations(loadConfig(undefined, parseFlags(["a:1"]).overrides).relay);
  assert.throws(
    () => requireDestinations(loadConfig().relay),
    (error) => error instanceof OperatorError && error.exitCode === 1,
  );
  for (const text of ["[relay]\ndestinations-file = f", "[route.x]\ndestinations = a:1"]) {
    requireDestinations(parseConfig(text, "x.ini").relay);
  }
});

test("destinations as arguments take the place of a destinations-file", () => {
  const { overrides } = parseFlags(split("--config x.ini a:1"));
  const { relay } = parseConfig("[relay]\ndestinations-file = f", "x.ini", overrides);
  assert.deepEqual([relay.destinations, relay.destinationsFile], [["a:1"], ""]);
});
