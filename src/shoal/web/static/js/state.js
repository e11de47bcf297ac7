// What is known about the account that is shown, kept fresh by what happens.
import { batch, computed, signal } from "@preact/signals";
import { api } from "./api.js";
import { isWorthNotice, notify } from "./notify.js";
import { forget, forgetAll, groupPlace, personPlace } from "./pictures.js";
import { route } from "./route.js";

const KEY = "shoal.account";
const PAGE = 40; // messages that are read at once
const PREVIEWS = 100; // conversations whose last message is read
const AT_ONCE = 8; // of those; a node refuses a page that asks for too much at the same time
const TYPING = 12_000; // milliseconds that a sign of typing holds

export const accounts = signal(null); // null: not read yet
export const current = signal(localStorage.getItem(KEY) ?? "");
export const account = computed(
  () => accounts.value?.find((each) => each.id === current.value) ?? accounts.value?.[0] ?? null,
);
export const conversations = signal([]);
export const latest = signal({}); // by conversation: its last message
export const contacts = signal([]);
export const requests = signal([]); // who asks to become a contact
export const invitations = signal([]); // to groups
export const unread = signal({}); // by conversation
export const people = signal({}); // by id
export const entries = signal({}); // by conversation: { list, hasMore, hasNewer }
export const typing = signal({}); // by conversation: { account: until }
export const statuses = signal({}); // by message of ours: how far it has come with all
export const transfers = signal({}); // by message
export const deviceNews = signal(0); // how often our devices have changed
export const wishes = signal({}); // by conversation: what we want of it, and its description
export const notice = signal(null); // { text, isError }

export const openId = computed(() => (route.value[0] === "conversation" ? route.value[1] : ""));
export const open = computed(() => conversations.value.find((each) => each.id === openId.value) ?? null);
export const nameOf = (id) =>
  people.value[id]?.shown || (id === account.value?.id && account.value.name) || id.slice(0, 8);

let following = null;

export async function readAccounts() {
  accounts.value = await api.call("account.list");
}

export function choose(id) {
  localStorage.setItem(KEY, id);
  current.value = id;
  return begin();
}

// Read everything about the account, and follow it.
export async function begin() {
  following?.cancel();
  await readAccounts();
  if (!account.value) return;
  batch(() => {
    conversations.value = [];
    entries.value = {};
    wishes.value = {};
    latest.value = {};
  });
  forgetAll();
  following = api.stream("conversation.events", { account: account.value.id }, happened);
  following.done.catch(() => {}); // the connection is gone; it begins again with the next one
  await readAll();
}

async function readAll() {
  await Promise.all([readPeople(), readContacts(), readConversations(), readTransfers()]);
  if (openId.value) await readLatest(openId.value);
}

const ask = (method, params = {}) => api.call(method, { account: account.value.id, ...params });

export async function readPeople() {
  const found = await ask("person.list");
  people.value = Object.fromEntries(found.map((each) => [each.id, each]));
}

export async function readContacts() {
  [contacts.value, requests.value] = await Promise.all([ask("contact.list"), ask("contact.requests")]);
}

export async function readConversations() {
  const [list, invited, counts] = await Promise.all([
    ask("conversation.list"),
    ask("conversation.requests"),
    ask("conversation.unread"),
  ]);
  batch(() => {
    conversations.value = list;
    invitations.value = invited;
    unread.value = Object.fromEntries(counts.map((each) => [each.conversation, each.unread]));
  });
  const fresh = list.filter((each) => each.is_ready && !latest.value[each.id]).slice(0, PREVIEWS);
  for (let first = 0; first < fresh.length; first += AT_ONCE) {
    const few = fresh.slice(first, first + AT_ONCE);
    await Promise.all(few.map((each) => readLast(each.id).catch(() => {}))); // it may be gone by now
  }
}

async function readLast(id) {
  const [last] = await ask("conversation.entries", { conversation: id, count: 1 });
  latest.value = { ...latest.value, [id]: last };
}

// Conversations, the one in which something happened last first.
export const ordered = computed(() =>
  [...conversations.value].sort((a, b) => (latest.value[b.id]?.wall_time ?? 0) - (latest.value[a.id]?.wall_time ?? 0)),
);

async function readTransfers() {
  const found = (await ask("file.list")).filter((each) => each.direction === "down");
  transfers.value = Object.fromEntries(found.map((each) => [each.id, each]));
}

export async function readWishes(id) {
  const [found, profile] = await Promise.all([
    ask("conversation.state", { conversation: id }),
    ask("conversation.profile", { conversation: id }),
  ]);
  wishes.value = { ...wishes.value, [id]: { ...found, title: profile.name } };
}

const isReady = (id) => conversations.value.find((each) => each.id === id)?.is_ready;

const keep = (id, part) => {
  entries.value = { ...entries.value, [id]: part };
};

// The latest messages; those that were read before stay, also where they are older ones alone.
export async function readLatest(id) {
  if (!isReady(id)) return;
  if (entries.value[id]?.hasNewer) await readAgain(id);
  else merge(id, await ask("conversation.entries", { conversation: id, count: PAGE }));
  await readStatuses(id);
  if (document.hasFocus() && openId.value === id) await seen(id);
}

function merge(id, latest) {
  const known = entries.value[id];
  if (known?.hasNewer) return; // older ones are shown by now
  const at = known?.list.findIndex((each) => each.id === latest[0]?.id) ?? -1;
  const older = at > 0 ? known.list.slice(0, at) : [];
  keep(id, { list: [...older, ...latest], hasMore: at >= 0 ? known.hasMore : latest.length === PAGE });
}

// The latest messages, and those alone.
export async function toLatest(id) {
  keep(id, undefined);
  await readLatest(id);
}

// An older message, with what was said before and after it, unless it is there.
export async function readAround(id, message) {
  if (!isReady(id) || entries.value[id]?.list.some((each) => each.id === message)) return;
  const list = await ask("conversation.entries", { conversation: id, count: PAGE, around: message });
  if (route.value[2] !== message) return; // nobody wants to see it any more
  keep(id, { list, hasMore: true, hasNewer: true });
  await readStatuses(id);
}

// What stands there of older messages, as it is now.
async function readAgain(id) {
  const { list } = entries.value[id];
  const middle = list[Math.floor(list.length / 2)].id;
  const fresh = await ask("conversation.entries", { conversation: id, count: list.length, around: middle });
  const known = entries.value[id];
  const now = new Map(fresh.map((each) => [each.id, each]));
  if (known) keep(id, { ...known, list: known.list.map((each) => now.get(each.id) ?? each) });
}

// How far our latest messages have come.
export async function readStatuses(id) {
  const found = await ask("conversation.statuses", { conversation: id, count: PAGE });
  const fresh = Object.fromEntries(found.map((each) => [each.id, each.status]));
  statuses.value = { ...statuses.value, ...fresh };
}

export async function readOlder(id) {
  const [first] = entries.value[id]?.list ?? [];
  if (!first) return;
  const older = await ask("conversation.entries", { conversation: id, count: PAGE, before: first.id });
  const known = entries.value[id];
  if (known?.list[0]?.id !== first.id) return; // something else is shown by now
  keep(id, { ...known, list: [...older, ...known.list], hasMore: older.length === PAGE });
}

export async function readNewer(id) {
  const last = entries.value[id]?.list.at(-1);
  if (!last) return;
  const newer = await ask("conversation.entries", { conversation: id, count: PAGE, after: last.id });
  const known = entries.value[id];
  if (known?.list.at(-1)?.id !== last.id) return;
  keep(id, { ...known, list: [...known.list, ...newer], hasNewer: newer.length === PAGE });
  if (newer.length < PAGE) await readLatest(id);
}

// Tell the others that we have seen all there is.
export async function seen(id) {
  const { list, hasNewer } = entries.value[id] ?? {};
  const last = list?.at(-1);
  if (!last || hasNewer || !unread.value[id]) return;
  unread.value = { ...unread.value, [id]: 0 };
  await ask("conversation.set_displayed", { conversation: id, message: last.id });
}

const later = new Map();

// Do *action* soon, and once, however often it is asked for meanwhile.
function soon(name, action) {
  if (later.has(name)) return;
  later.set(
    name,
    setTimeout(() => {
      later.delete(name);
      action().catch(() => {});
    }, 30),
  );
}

function happened(event) {
  switch (event.event) {
    case "message_taken":
      tell(event).catch(() => {}); // it stands in the conversation all the same
      if (event.message.kind === "profile_update") {
        soon(`looks ${event.conversation}`, async () => {
          await readConversations(); // first: it may have no picture any more
          forget(groupPlace(account.value.id, event.conversation));
          if (wishes.value[event.conversation]) await readWishes(event.conversation);
        });
      }
    // falls through
    case "message_edited":
    case "message_reacted":
    case "message_unreacted":
      stoppedTyping(event.conversation, event.message.author);
      soon(`latest ${event.conversation}`, async () => {
        await Promise.all([readConversations(), readLast(event.conversation)]);
        if (entries.value[event.conversation] || openId.value === event.conversation) {
          await readLatest(event.conversation);
        }
      });
      break;
    case "status_changed":
      if (entries.value[event.conversation]) {
        soon(`statuses ${event.conversation}`, () => readStatuses(event.conversation));
      }
      break;
    case "composing":
      if (event.is_active) startedTyping(event.conversation, event.account);
      else stoppedTyping(event.conversation, event.account);
      break;
    case "transfer_changed":
      if (event.transfer.direction === "down") {
        transfers.value = { ...transfers.value, [event.transfer.id]: event.transfer };
      }
      break;
    case "preferences_changed":
      if (wishes.value[event.conversation]) {
        soon(`wishes ${event.conversation}`, () => readWishes(event.conversation));
      }
      break;
    case "profile_received":
      soon(`person ${event.peer}`, async () => {
        await readPeople();
        forget(personPlace(account.value.id, event.peer));
      });
      break;
    case "device_changed":
    case "device_removed":
      deviceNews.value += 1;
      break;
    case "lagged":
      deviceNews.value += 1;
      soon("all", readAll);
      break;
    case "account_state_changed":
    case "account_named":
    case "backup_due":
      soon("accounts", readAccounts);
      break;
    case "conversation_ready":
      soon("conversations", async () => {
        await Promise.all([readConversations(), readPeople()]);
        if (openId.value === event.conversation) await readLatest(event.conversation);
      });
      break;
    default:
      soon("lists", () => Promise.all([readContacts(), readConversations(), readPeople()]));
  }
}

// Let the desktop say what somebody else has said, unless the conversation is muted.
async function tell({ conversation, message }) {
  const text = message.body ?? message.display_name;
  if (!text || message.author === account.value.id || !isWorthNotice(message)) return;
  const { is_muted } = await ask("conversation.state", { conversation });
  if (!is_muted) notify(nameOf(message.author), text, conversation);
}

function startedTyping(conversation, who) {
  const until = Date.now() + TYPING;
  typing.value = { ...typing.value, [conversation]: { ...typing.value[conversation], [who]: until } };
  setTimeout(() => {
    if (typing.value[conversation]?.[who] === until) stoppedTyping(conversation, who);
  }, TYPING);
}

function stoppedTyping(conversation, who) {
  if (!typing.value[conversation]?.[who]) return;
  const { [who]: _, ...others } = typing.value[conversation];
  typing.value = { ...typing.value, [conversation]: others };
}

// Do something, and say what went wrong if it did.
export async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    notice.value = { isError: true, text: [error.message, error.advice].filter(Boolean).join(". ") };
    return undefined;
  }
}

export { ask };
