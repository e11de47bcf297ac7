// One message: what it says, who reacts, how far it has come, and what can be done with it.
import { useState } from "preact/hooks";
import { FileView } from "./files.js";
import { html } from "./html.js";
import { clock, t } from "./i18n.js";
import { Journey } from "./journey.js";
import { Act, Avatar } from "./parts.js";
import { to } from "./route.js";
import { account, ask, nameOf, openId, statuses } from "./state.js";

const EMOJI = ["👍", "❤️", "😂", "😮", "😢", "🎉"];

export function MessageView({ entry, answered, isWanted, hasAuthor, onReply, onEdit }) {
  if (entry.kind !== "text" && entry.kind !== "file_offer") return html`<${Note} entry=${entry} />`;
  const isOurs = entry.author === account.value.id;
  const classes = ["message", isOurs && "ours", isWanted && "wanted"].filter(Boolean).join(" ");
  return html`<article class=${classes} id=${`message-${entry.id}`} aria-label=${labelOf(entry, isOurs)}>
    ${hasAuthor &&
    !isOurs &&
    html`<p class="author"><${Avatar} id=${entry.author} name=${nameOf(entry.author)} /> ${nameOf(entry.author)}</p>`}
    ${entry.reply_to &&
    html`<blockquote>
      <a href=${to("conversation", openId.value, entry.reply_to)}>${answered ? answered.text : t("older.message")}</a>
    </blockquote>`}
    ${entry.is_deleted
      ? html`<p class="deleted">${t("deleted")}</p>`
      : entry.kind === "file_offer"
        ? html`<${FileView} entry=${entry} />`
        : html`<p class="text"><${Text} text=${entry.text} /></p>`}
    <${Reactions} entry=${entry} />
    <p class="meta">
      <time datetime=${new Date(entry.wall_time * 1000).toISOString()}>${clock(entry.wall_time)}</time>
      ${entry.is_edited && !entry.is_deleted && html` · ${t("edited")}`} ${isOurs && html`<${Receipt} entry=${entry} />`}
    </p>
    ${!entry.is_deleted && html`<${Actions} ...${{ entry, isOurs, onReply, onEdit }} />`}
  </article>`;
}

const labelOf = (entry, isOurs) =>
  t("message.by", { name: isOurs ? t("you") : nameOf(entry.author), time: clock(entry.wall_time) });

const LINK = /(https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)])/;

// Links in a text can be followed; nothing else of it is taken for markup.
const Text = ({ text }) =>
  text.split(LINK).map((part, index) =>
    index % 2 ? html`<a href=${part} target="_blank" rel="noopener noreferrer nofollow">${part}</a>` : part,
  );

function Reactions({ entry }) {
  if (!entry.reactions.length) return null;
  const by = Map.groupBy(entry.reactions, (each) => each.emoji);
  return html`<ul class="reactions" aria-label=${t("reactions")}>
    ${[...by].map(
      ([emoji, those]) =>
        html`<li><${Reaction} ...${{ entry, emoji }} title=${those.map((each) => nameOf(each.author)).join(", ")}>
          ${emoji} ${those.length > 1 && those.length}
        <//></li>`,
    )}
  </ul>`;
}

// Says whether we react like that; pressed, we do, and pressed again we do not.
function Reaction({ entry, emoji, children, ...attributes }) {
  const isOurs = entry.reactions.some((each) => each.emoji === emoji && each.author === account.value.id);
  const about = { conversation: openId.value, message: entry.id, emoji };
  const press = () => ask(isOurs ? "conversation.unreact" : "conversation.react", about);
  return html`<${Act}
    class="small"
    aria-pressed=${String(isOurs)}
    disabled=${entry.is_deleted && !isOurs}
    onPress=${press}
    ...${attributes}
  >
    ${children}
  <//>`;
}

const MARKS = { sending: "…", sent: "✓", delivered: "✓✓", displayed: "✓✓" };

// How far a message of ours has come with the others: the furthest that all have.
function Receipt({ entry }) {
  const status = statuses.value[entry.id];
  if (!(status in MARKS)) return null;
  const words = t(`receipt.${status}`);
  return html` <span class=${`receipt ${status}`} role="img" aria-label=${words} title=${words}>${MARKS[status]}</span>`;
}

function Actions({ entry, isOurs, onReply, onEdit }) {
  const [isShown, setShown] = useState(false);
  const about = { conversation: openId.value, message: entry.id };
  const remove = async () => {
    if (confirm(t("delete.sure"))) await ask("conversation.delete", about);
  };
  return html`<div class="actions" role="group" aria-label=${t("actions")}>
    <button type="button" class="small" onClick=${() => onReply(entry)}>${t("reply")}</button>
    <details class="emoji">
      <summary>${t("react")}</summary>
      ${EMOJI.map((each) => html`<${Reaction} ...${{ entry, emoji: each }} aria-label=${t("react.with", { emoji: each })}>${each}<//>`)}
    </details>
    ${isOurs && entry.kind === "text" && html`<button type="button" class="small" onClick=${() => onEdit(entry)}>${t("edit")}</button>`}
    ${isOurs && html`<button type="button" class="small" onClick=${() => setShown(true)}>${t("journey.show")}</button>`}
    ${isOurs && html`<${Act} class="small" onPress=${remove}>${t("delete")}<//>`}
    ${isShown && html`<${Journey} entry=${entry} onClose=${() => setShown(false)} />`}
  </div>`;
}

// What is no message of somebody, but happened.
export function noteOf(entry) {
  const name = nameOf(entry.account ?? entry.author);
  return entry.kind === "member_event"
    ? t(`member.${entry.action}`, { name })
    : t(`note.${entry.kind}`, { name: nameOf(entry.author) });
}

const Note = ({ entry }) => html`<p class="note">${noteOf(entry)}</p>`;
