// Where to write: Enter sends, Shift+Enter makes a line, Escape gives up, Up edits the last one.
import { useEffect, useRef } from "preact/hooks";
import { Sending, sendFiles } from "./files.js";
import { html } from "./html.js";
import { t } from "./i18n.js";
import { ask, attempt } from "./state.js";

const TYPING_EVERY = 6000; // milliseconds between two signs of typing

const drafts = new Map(); // by conversation: what was written, and not sent yet

export function Composer({ id, reply, edited, onDone, onSaid, onEditLast }) {
  const box = useRef(null);
  const told = useRef(0);
  useEffect(() => {
    box.current.value = edited ? edited.text : (drafts.get(id) ?? "");
    if (reply || edited) box.current.focus();
    grow(box.current);
  }, [reply, edited]);
  useEffect(() => {
    if (matchMedia("(min-width: 45rem)").matches) box.current.focus();
  }, [id]);

  const tell = (isActive) => {
    const now = Date.now();
    if (isActive && now - told.current < TYPING_EVERY) return;
    if (!isActive && !told.current) return;
    told.current = isActive ? now : 0;
    ask("conversation.set_composing", { conversation: id, is_active: isActive }).catch(() => {});
  };

  const put = (text) => {
    box.current.value = text;
    if (!edited) drafts.set(id, text);
    grow(box.current);
  };

  const send = async () => {
    const text = box.current.value.trim();
    if (!text) return;
    put("");
    told.current = 0;
    const sent = await attempt(() =>
      edited
        ? ask("conversation.edit", { conversation: id, message: edited.id, text })
        : ask("conversation.send", { to: id, text, ...(reply && { reply_to: reply.id }) }),
    );
    if (!sent) put(text);
    else {
      onDone();
      if (!edited) onSaid();
    }
  };

  const press = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      send();
    } else if (event.key === "Escape") {
      onDone();
    } else if (event.key === "ArrowUp" && !box.current.value) {
      event.preventDefault();
      onEditLast();
    }
  };

  const about = edited ?? reply;
  return html`<form
    class="composer"
    onSubmit=${(event) => {
      event.preventDefault();
      send();
    }}
  >
    ${about &&
    html`<p class="about">
      <span>${t(edited ? "editing" : "replying", { text: about.text })}</span>
      <button type="button" class="quiet" aria-label=${t("give.up")} onClick=${onDone}>×</button>
    </p>`}
    <${Sending} conversation=${id} />
    <label class="attach">
      <span class="hidden">${t("file.choose")}</span><span aria-hidden="true">📎</span>
      <input
        type="file"
        class="hidden"
        multiple
        onChange=${(event) => {
          sendFiles(id, [...event.currentTarget.files]);
          event.currentTarget.value = "";
        }}
      />
    </label>
    <label class="hidden" for="text">${t("message")}</label>
    <textarea
      id="text"
      ref=${box}
      rows="1"
      maxlength="16000"
      placeholder=${t("message")}
      onKeyDown=${press}
      onInput=${(event) => {
        put(event.currentTarget.value);
        tell(Boolean(event.currentTarget.value));
      }}
      onBlur=${() => tell(false)}
    />
    <button class="primary">${t("send")}</button>
  </form>`;
}

// As high as its text, up to eight lines.
function grow(box) {
  box.rows = Math.min(8, box.value.split("\n").length);
}
