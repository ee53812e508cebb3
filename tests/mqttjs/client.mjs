// What a page or a program of Node.js does with MQTT.js against a broker: node client.mjs URL VERSION [CA]. Prints a line
// for each thing that went as it should; the first that does not ends it with status 1. tests/integration/test_mqttjs.py
// runs it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const mqtt = createRequire(`${process.env.MQTTJS}/`)("mqtt");
const [url, versionText, ca] = process.argv.slice(2);
const version = Number(versionText);
const isV5 = version === 5;
const run = `${process.pid}-${version}`;

function options(more = {}) {
  return {
    protocolVersion: version,
    reconnectPeriod: 0,
    connectTimeout: 20_000,
    ...(ca ? { ca: readFileSync(ca) } : {}),
    ...more,
  };
}

const connect = (more) => mqtt.connectAsync(url, options(more));

// The next `count` messages of a client, as [topic, text, packet].
function messages(client, count) {
  const found = [];
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${found.length} of ${count} messages came`)), 20_000);
    const take = (topic, payload, packet) => {
      found.push([topic, payload.toString(), packet]);
      if (found.length < count) return;
      clearTimeout(timer);
      client.off("message", take);
      resolve(found);
    };
    client.on("message", take);
  });
}

async function qualities() {
  const client = await connect();
  const granted = await client.subscribeAsync({ [`q/${run}/0`]: { qos: 0 }, [`q/${run}/1`]: { qos: 1 }, [`q/${run}/2`]: { qos: 2 } });
  assert.deepEqual(granted.map((each) => each.qos), [0, 1, 2]);
  const coming = messages(client, 3);
  for (const qos of [0, 1, 2]) await client.publishAsync(`q/${run}/${qos}`, `at ${qos}`, { qos });
  const found = await coming;
  assert.deepEqual(found.map((each) => [each[1], each[2].qos]).sort(), [["at 0", 0], ["at 1", 1], ["at 2", 2]]);
  await client.unsubscribeAsync(`q/${run}/0`);
  await client.endAsync();
}

async function manyInOrder() {
  const client = await connect();
  await client.subscribeAsync(`many/${run}`, { qos: 1 });
  const coming = messages(client, 500);
  for (let i = 0; i < 500; ++i) client.publish(`many/${run}`, String(i), { qos: 1 });
  assert.deepEqual((await coming).map((each) => Number(each[1])), [...Array(500).keys()]);
  await client.endAsync();
}

async function large() {
  const client = await connect();
  await client.subscribeAsync(`large/${run}`, { qos: 1 });
  const coming = messages(client, 1);
  const payload = "0123456789abcdef".repeat(30_000);
  await client.publishAsync(`large/${run}`, payload, { qos: 1 });
  assert.equal((await coming)[0][1], payload);
  await client.endAsync();
}

async function retained() {
  const client = await connect();
  await client.publishAsync(`state/${run}`, "on", { qos: 1, retain: true });
  const coming = messages(client, 1);
  await client.subscribeAsync(`state/${run}`, { qos: 1 });
  const [[, text, packet]] = await coming;
  assert.deepEqual([text, packet.retain], ["on", true]);
  await client.publishAsync(`state/${run}`, "", { qos: 1, retain: true });
  await client.endAsync();
}

async function will() {
  const heir = await connect();
  await heir.subscribeAsync(`will/${run}`, { qos: 1 });
  const coming = messages(heir, 1);
  const mortal = await connect({ will: { topic: `will/${run}`, payload: Buffer.from("gone"), qos: 1, retain: false } });
  mortal.on("error", () => {});
  mortal.stream.destroy();
  assert.equal((await coming)[0][1], "gone");
  await heir.endAsync();
}

async function session() {
  const kept = { clientId: `kept-${run}`, clean: false, ...(isV5 ? { properties: { sessionExpiryInterval: 600 } } : {}) };
  const first = await connect(kept);
  await first.subscribeAsync(`kept/${run}`, { qos: 2 });
  await first.endAsync();
  const giver = await connect();
  for (const qos of [1, 2]) await giver.publishAsync(`kept/${run}`, `while away ${qos}`, { qos });
  await giver.endAsync();
  const again = mqtt.connect(url, options(kept));
  const present = new Promise((resolve) => again.once("connect", (packet) => resolve(packet.sessionPresent)));
  const coming = messages(again, 2);
  assert.equal(await present, true);
  assert.deepEqual((await coming).map((each) => each[1]), ["while away 1", "while away 2"]);
  await again.endAsync();
}

async function properties() {
  const client = await connect({ properties: { topicAliasMaximum: 4, receiveMaximum: 10 } });
  const coming = messages(client, 1);
  await client.subscribeAsync(`props/${run}`, { qos: 1, properties: { subscriptionIdentifier: 7 } });
  await client.publishAsync(`props/${run}`, "{}", {
    qos: 1,
    properties: {
      contentType: "application/json",
      responseTopic: `answers/${run}`,
      correlationData: Buffer.from([1, 2]),
      messageExpiryInterval: 100,
      userProperties: { a: ["1", "2"] },
    },
  });
  const [[, , packet]] = await coming;
  const found = packet.properties;
  assert.equal(found.contentType, "application/json");
  assert.equal(found.responseTopic, `answers/${run}`);
  assert.deepEqual([...found.correlationData], [1, 2]);
  assert.deepEqual({ ...found.userProperties }, { a: ["1", "2"] });
  assert.equal(found.subscriptionIdentifier, 7);
  await client.endAsync();
}

async function sharedSubscriptions() {
  const members = [await connect(), await connect()];
  const counts = [0, 0];
  let all;
  const done = new Promise((resolve) => (all = resolve));
  for (const [i, member] of members.entries()) {
    await member.subscribeAsync(`$share/g/shared/${run}`, { qos: 1 });
    member.on("message", () => {
      ++counts[i];
      if (counts[0] + counts[1] === 20) all();
    });
  }
  const giver = await connect();
  for (let i = 0; i < 20; ++i) await giver.publishAsync(`shared/${run}`, String(i), { qos: 1 });
  await done;
  assert.deepEqual(counts, [10, 10]);
  for (const client of [...members, giver]) await client.endAsync();
}

async function takeover() {
  const first = await connect({ clientId: `twin-${run}` });
  first.on("error", () => {});
  const told = new Promise((resolve) => {
    if (isV5) first.once("disconnect", (packet) => resolve(packet.reasonCode));
    else first.once("close", () => resolve(0x8e));
  });
  const second = await connect({ clientId: `twin-${run}` });
  assert.equal(await told, 0x8e);
  await second.endAsync();
}

const scenarios = { qualities, manyInOrder, large, retained, will, session, takeover };
if (isV5) Object.assign(scenarios, { properties, sharedSubscriptions });
for (const [name, scenario] of Object.entries(scenarios)) {
  await scenario();
  console.log(name);
}
process.exit(0);
