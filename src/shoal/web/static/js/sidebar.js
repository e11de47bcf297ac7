// The list on the left: who we are, conversations, search, ways to the other pages.
import { useEffect, useState } from "preact/hooks";
import { isConnected } from "./api.js";
import { html } from "./html.js";
import { moment, t } from "./i18n.js";
import { noteOf } from "./message.js";
import { Avatar, Face } from "./parts.js";
import { route, to } from "./route.js";
import {
  account,
  accounts,
  ask,
  attempt,
  choose,
  conversations,
  invitations,
  latest,
  nameOf,
  openId,
  ordered,
  requests,
  typing,
  unread,
} from "./state.js";

const PAGES = ["contacts", "devices", "network", "settings"];

export function Sidebar() {
  const [found, setFound] = useState(null);
  return html`<nav class="sidebar" aria-label=${t("navigation")}>
    <${Me} />
    <${Search} setFound=${setFound} />
    ${found ? html`<${Found} found=${found} />` : html`<${Conversations} />`}
    <ul class="pages">
      ${PAGES.map(
        (each) =>
          html`<li>
            <a href=${to(each)} aria-current=${route.value[0] === each ? "page" : undefined}>
              ${t(each)} ${each === "contacts" && html`<${Count} count=${waiting()} what="requests.count" />`}
            </a>
          </li>`,
      )}
    </ul>
  </nav>`;
}

const waiting = () => requests.value.length + invitations.value.length;

const Count = ({ count, what }) =>
  count ? html`<span class="count" aria-label=${t(what, { count })}>${count}</span>` : null;

function Me() {
  const own = account.value;
  const state = isConnected.value ? own.state : "away";
  return html`<div class="me">
    <${Avatar} id=${own.id} name=${own.name} />
    ${accounts.value.length > 1
      ? html`<select
          aria-label=${t("account")}
          value=${own.id}
          onChange=${(event) => attempt(() => choose(event.currentTarget.value))}
        >
          ${accounts.value.map((each) => html`<option value=${each.id}>${each.name || each.id.slice(0, 8)}</option>`)}
        </select>`
      : html`<strong>${own.name || own.id.slice(0, 8)}</strong>`}
    <span class=${`state ${state}`} role="status">${t(`state.${state}`)}</span>
  </div>`;
}

function Search({ setFound }) {
  const [text, setText] = useState("");
  const [isHere, setHere] = useState(false);
  const where = isHere ? openId.value : "";
  useEffect(() => {
    if (!text) {
      setFound(null);
      return undefined;
    }
    let isWanted = true; // until something else is looked for
    attempt(async () => {
      const found = await ask("conversation.search", { text, ...(where && { conversation: where }) });
      if (isWanted) setFound(found);
    });
    return () => {
      isWanted = false;
    };
  }, [text, where]);
  return html`<search class="search">
    <input
      type="search"
      placeholder=${t("search")}
      aria-label=${t("search.messages")}
      onInput=${(event) => setText(event.currentTarget.value.trim())}
    />
    ${text &&
    openId.value &&
    html`<label class="check">
      <input type="checkbox" checked=${isHere} onChange=${(event) => setHere(event.currentTarget.checked)} />
      ${t("search.here")}
    </label>`}
  </search>`;
}

const Found = ({ found }) => html`<ul class="list" aria-label=${t("found")}>
  ${found.length === 0 && html`<li class="empty" role="status">${t("found.nothing")}</li>`}
  ${found.map((each) => {
    const title = conversations.value.find(({ id }) => id === each.conversation)?.title ?? "";
    return html`<li>
      <a href=${to("conversation", each.conversation, each.id)}>
        <span class="line">
          <span class="title"><strong>${each.author_name}</strong>${title !== each.author_name && ` · ${title}`}</span>
          <time>${moment(each.wall_time)}</time>
        </span>
        <span class="preview">${each.text}</span>
      </a>
    </li>`;
  })}
</ul>`;

// What was said last, in a few words.
function Preview({ entry }) {
  if (!entry) return null;
  if (entry.is_deleted) return t("deleted");
  const words = { text: entry.text, file_offer: `📎 ${entry.display_name}` }[entry.kind];
  if (words === undefined) return noteOf(entry);
  const who = entry.author === account.value.id ? t("you") : nameOf(entry.author);
  return `${who}: ${words}`;
}

function Conversations() {
  const list = ordered.value;
  if (!list.length) return html`<p class="empty">${t("conversations.none")}</p>`;
  return html`<ul class="list" aria-label=${t("conversations")}>
    ${list.map((each) => {
      const count = unread.value[each.id] ?? 0;
      const isTyping = Object.keys(typing.value[each.id] ?? {}).length > 0;
      return html`<li key=${each.id}>
        <a href=${to("conversation", each.id)} aria-current=${openId.value === each.id ? "page" : undefined}>
          <${Face} conversation=${each} />
          <span class="both">
            <span class="line">
              <span class="title">${each.title}</span>
              ${latest.value[each.id] && html`<time>${moment(latest.value[each.id].wall_time)}</time>`}
            </span>
            <span class="line">
              <span class="preview">
                ${each.is_ready ? (isTyping ? t("typing.short") : html`<${Preview} entry=${latest.value[each.id]} />`) : t("fetching")}
              </span>
              <${Count} count=${count} what="unread.count" />
            </span>
          </span>
        </a>
      </li>`;
    })}
  </ul>`;
}
