// Jami's library of 2026 behind JSON lines: tests/peers/libjami.py is the other side.
//
// In:  {"op": 1, "do": "addAccount", "with": [{"map": {"Account.type": "RING"}}]}
// Out: {"op": 1, "result": …} or {"op": 1, "error": "…"}, and {"event": "ContactAdded", "body": […]}.
// Arguments that JavaScript has no type for come as {"map": {…}} and {"blob": "hex"}.
"use strict";

const readline = require("node:readline");

const [, , addon, flags] = process.argv;
const jami = require(addon);

const EVENTS = [
  "AccountsChanged", "AccountDetailsChanged", "RegistrationStateChanged", "VolatileDetailsChanged",
  "IncomingAccountMessage", "AccountMessageStatusChanged", "ContactAdded", "ContactRemoved",
  "NameRegistrationEnded", "RegisteredNameFound", "KnownDevicesChanged", "DeviceAuthStateChanged",
  "AddDeviceStateChanged", "IncomingTrustRequest", "DeviceRevocationEnded",
  "AccountProfileReceived", "ProfileReceived", "CallStateChanged", "IncomingCall",
  "DataTransferEvent", "SwarmLoaded", "SwarmMessageReceived", "SwarmMessageUpdated",
  "ConversationRequestReceived", "ConversationRequestDeclined", "ConversationReady",
  "ConversationRemoved", "ConversationMemberEvent", "OnConversationError",
  "NewBuddyNotification", "NearbyPeerNotification", "ComposingStatusChanged", "ReactionAdded",
  "ReactionRemoved",
];

function say(line) {
  process.stdout.write(JSON.stringify(line) + "\n");
}

function fromJson(value) {
  if (value === null || typeof value !== "object") return value;
  if ("map" in value) {
    const map = new jami.StringMap();
    for (const [key, text] of Object.entries(value.map)) map.set(key, text);
    return map;
  }
  const blob = new jami.Blob();
  for (const byte of Buffer.from(value.blob, "hex")) blob.add(byte);
  return blob;
}

function toJson(value) {
  if (value instanceof jami.StringMap) {
    const keys = toJson(value.keys());
    return Object.fromEntries(keys.map((key) => [key, value.get(key)]));
  }
  const isVector = [jami.StringVect, jami.VectMap, jami.UintVect, jami.IntVect, jami.Blob]
    .some((kind) => value instanceof kind);
  if (!isVector) return value === undefined ? null : value;
  return Array.from({ length: value.size() }, (_, index) => toJson(value.get(index)));
}

function answer({ op, do: name, with: given }) {
  try {
    say({ op, result: toJson(jami[name](...given.map(fromJson))) });
  } catch (error) {
    say({ op, error: String(error) });
  }
}

const heard = EVENTS.map((name) => [name, (...body) => say({ event: name, body })]);
jami.init(Object.fromEntries(heard), { flags: Number(flags) });

// Whoever started us has gone: the library's own farewell takes seconds that nobody needs.
const input = readline.createInterface({ input: process.stdin });
input.on("line", (line) => answer(JSON.parse(line)));
input.on("close", () => process.kill(process.pid, "SIGKILL"));
say({ op: 0, result: Object.keys(jami).length });
