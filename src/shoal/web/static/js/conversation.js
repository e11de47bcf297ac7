// A conversation: its head, its messages, and where to write.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Composer } from "./composer.js";
import { Details } from "./details.js";
import { sendFiles } from "./files.js";
import { html } from "./html.js";
import { t } from "./i18n.js";
import { MessageView } from "./message.js";
import { Act, Face } from "./parts.js";
import { go, route, to } from "./route.js";
import {
  account,
  attempt,
  entries,
  nameOf,
  open,
  openId,
  readAround,
  readLatest,
  readNewer,
  readOlder,
  readWishes,
  seen,
  toLatest,
  typing,
  wishes,
} from "./state.js";

export function Conversation() {
  const id = openId.value;
  const wanted = route.value[2];
  const hasNewer = entries.value[id]?.hasNewer ?? false;
  const [reply, setReply] = useState(null);
  const [edited, setEdited] = useState(null);
  useEffect(() => {
    setReply(null);
    setEdited(null);
    attempt(async () => {
      if (!wanted) await readLatest(id);
      if (open.value?.is_ready) await readWishes(id);
    });
    const look = () => attempt(() => seen(id));
    addEventListener("focus", look);
    return () => removeEventListener("focus", look);
  }, [id, open.value?.is_ready]);
  useEffect(() => {
    if (wanted) attempt(() => readAround(id, wanted));
    else if (hasNewer) attempt(() => toLatest(id));
  }, [id, wanted, open.value?.is_ready]);
  if (!open.value) return html`<main id="main"><p class="empty">${t("conversation.gone")}</p></main>`;
  const ours = entries.value[id]?.list.filter((each) => each.author === account.value.id && isText(each)) ?? [];
  const drop = (event) => {
    event.preventDefault();
    sendFiles(id, [...event.dataTransfer.files]);
  };
  return html`<main class="conversation" id="main" onDragOver=${(event) => event.preventDefault()} onDrop=${drop}>
    <${Head} conversation=${open.value} />
    <${Messages} id=${id} onReply=${setReply} onEdit=${setEdited} />
    <${Composer}
      key=${id}
      id=${id}
      reply=${reply}
      edited=${edited}
      onEditLast=${() => ours.length && setEdited(ours.at(-1))}
      onDone=${() => {
        setReply(null);
        setEdited(null);
      }}
      onSaid=${() => wanted && go("conversation", id)}
    />
  </main>`;
}

const isText = (entry) => entry.kind === "text" && !entry.is_deleted;

function Head({ conversation }) {
  const [isShown, setShown] = useState(false);
  const others = conversation.members.filter((each) => each.id !== account.value.id && each.role !== "left");
  const isGroup = conversation.mode !== "one_to_one";
  const presence = others[0]?.presence ?? "offline";
  const { colour, is_muted } = wishes.value[conversation.id] ?? {};
  return html`<header style=${colour ? { borderBottomColor: colour, borderBottomWidth: "3px" } : {}}>
    <a class="back" href="#/" aria-label=${t("back")}>←</a>
    <${Face} conversation=${conversation} />
    <div>
      <h1>${conversation.title}</h1>
      <p class="hint">
        ${isGroup
          ? t("members.count", { count: conversation.members.filter(isIn).length })
          : html`<span class=${`presence ${presence}`}>${t(`presence.${presence}`)}</span>`}
        ${is_muted && html` · <span>${t("muted")}</span>`}
      </p>
    </div>
    <button type="button" class="small" onClick=${() => setShown(true)}>${t("details")}</button>
    ${isShown && html`<${Details} conversation=${conversation} onClose=${() => setShown(false)} />`}
  </header>`;
}

const isIn = (member) => member.role === "admin" || member.role === "member";

// Not what somebody has done just before, as when they try pictures.
const isNews = (entry, index, list) =>
  entry.kind !== "profile_update" ||
  list[index + 1]?.kind !== "profile_update" ||
  list[index + 1].author !== entry.author;

const isSaid = (entry) => entry?.kind === "text" || entry?.kind === "file_offer";

function Messages({ id, onReply, onEdit }) {
  const { list, hasMore, hasNewer } = entries.value[id] ?? { list: [] };
  const box = useRef(null);
  const place = useRef({ isAtEnd: true, height: 0, first: "", last: "" });
  const last = list.at(-1);
  const wanted = route.value[2];
  useLayoutEffect(() => {
    const { isAtEnd, height, first } = place.current;
    const isSaid = last && last.id !== place.current.last && last.author === account.value.id;
    if (isAtEnd || isSaid) box.current.scrollTop = box.current.scrollHeight;
    else if (first !== list[0]?.id) box.current.scrollTop += box.current.scrollHeight - height;
    place.current = { ...place.current, height: box.current.scrollHeight, first: list[0]?.id, last: last?.id };
  });
  useEffect(() => {
    place.current.isAtEnd = !wanted;
    if (wanted) document.getElementById(`message-${wanted}`)?.scrollIntoView({ block: "center" });
  }, [id, wanted, list.some((each) => each.id === wanted)]);
  const scrolled = () => {
    const { scrollTop, scrollHeight, clientHeight } = box.current;
    place.current.isAtEnd = !hasNewer && scrollHeight - scrollTop - clientHeight < 40;
    place.current.height = scrollHeight;
  };
  const isGroup = open.value.mode !== "one_to_one";
  const byId = Object.fromEntries(list.map((each) => [each.id, each]));
  return html`<div
    class="messages"
    role="log"
    aria-label=${t("messages")}
    tabindex="0"
    ref=${box}
    onScroll=${scrolled}
    data-last=${last?.id}
  >
    ${hasMore && html`<${Act} class="older" onPress=${() => readOlder(id)}>${t("older")}<//>`}
    ${list.filter(isNews).map(
      (each, index, list) =>
        html`<${MessageView}
          key=${each.id}
          entry=${each}
          answered=${each.reply_to && (byId[each.reply_to] ?? null)}
          isWanted=${each.id === wanted}
          hasAuthor=${isGroup && !(isSaid(list[index - 1]) && list[index - 1].author === each.author)}
          onReply=${onReply}
          onEdit=${onEdit}
        />`,
    )}
    ${hasNewer &&
    html`<p class="newer">
      <${Act} onPress=${() => readNewer(id)}>${t("newer")}<//>
      <a href=${to("conversation", id)}>${t("latest")}</a>
    </p>`}
    <${Typing} id=${id} />
  </div>`;
}

function Typing({ id }) {
  const names = Object.keys(typing.value[id] ?? {}).map(nameOf);
  return html`<p class="typing" aria-live="polite">${names.length > 0 && t("typing", { names: names.join(", ") })}</p>`;
}
