// Files: chosen or dropped, sent with progress; shown with what can be done with them.
import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { api } from "./api.js";
import { html } from "./html.js";
import { size, t } from "./i18n.js";
import { Act, save } from "./parts.js";
import { account, ask, attempt, notice, openId, transfers } from "./state.js";

const sending = signal([]); // { name, done, total, conversation }

export async function sendFiles(conversation, files) {
  for (const file of files) {
    const entry = signal({ name: file.name, done: 0, total: file.size, conversation });
    sending.value = [...sending.value, entry];
    await attempt(() =>
      api.sendFile(file, { account: account.value.id, conversation }, (done, total) => {
        entry.value = { ...entry.value, done, total };
      }),
    );
    sending.value = sending.value.filter((each) => each !== entry);
  }
}

export const Sending = ({ conversation }) =>
  sending.value
    .map((each) => each.value)
    .filter((each) => each.conversation === conversation)
    .map(
      ({ name, done, total }) =>
        html`<p class="sending" role="status">
          ${t("file.sending", { name })} <progress max=${total || 1} value=${done} aria-label=${name} />
        </p>`,
    );

const OVER = ["done", "failed", "canceled"];

export function FileView({ entry }) {
  const [isWished, setWished] = useState(false); // it is saved once it is here
  const isCanceled = useRef(false);
  const moving = transfers.value[entry.id];
  const isMoving = moving && !OVER.includes(moving.state);
  const isHere = moving?.state === "done";
  const about = { conversation: openId.value, message: entry.id, account: account.value.id, name: entry.display_name };
  const get = async () => {
    isCanceled.current = false;
    setWished(false);
    try {
      save(await api.getFile(about));
    } catch (error) {
      if (isCanceled.current) return;
      if (error.kind !== "TooLongError") throw error;
      setWished(true);
      notice.value = { text: t("file.later", { name: entry.display_name }) };
    }
  };
  useEffect(() => {
    if (isWished && isHere) attempt(get);
  }, [isWished, isHere]);
  const act = (verb) => async () => {
    isCanceled.current = verb === "cancel";
    await ask(`file.${verb}`, { message: entry.id });
  };
  return html`<div class="file">
    <p><span aria-hidden="true">📎</span> ${entry.display_name} <span class="hint">${size(entry.size)}</span></p>
    ${isMoving &&
    html`<progress max=${moving.size || 1} value=${moving.done} aria-label=${entry.display_name} />
      <p class="hint" role="status">${t(`file.${moving.state}`)} · ${size(moving.done)} / ${size(moving.size)}</p>`}
    <p class="buttons">
      ${!isMoving && html`<${Act} class="small" onPress=${get}>${t("file.save")}<//>`}
      ${isMoving &&
      (moving.state === "paused"
        ? html`<${Act} class="small" onPress=${act("resume")}>${t("file.resume")}<//>`
        : html`<${Act} class="small" onPress=${act("pause")}>${t("file.pause")}<//>`)}
      ${isMoving && html`<${Act} class="small" onPress=${act("cancel")}>${t("file.cancel")}<//>`}
    </p>
  </div>`;
}
