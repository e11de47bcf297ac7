// Files: chosen or dropped, sent with progress; shown with what can be done with them.
import { signal } from "@preact/signals";
import { api } from "./api.js";
import { html } from "./html.js";
import { size, t } from "./i18n.js";
import { Act, save } from "./parts.js";
import { account, attempt, openId, transfers } from "./state.js";

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

export function FileView({ entry }) {
  const moving = transfers.value[entry.id];
  const isMoving = moving && moving.state !== "done" && moving.direction === "down" && !moving.is_over;
  const get = async () =>
    save(
      await api.getFile({
        conversation: openId.value,
        message: entry.id,
        account: account.value.id,
        name: entry.display_name,
      }),
    );
  return html`<div class="file">
    <p><span aria-hidden="true">📎</span> ${entry.display_name} <span class="hint">${size(entry.size)}</span></p>
    ${isMoving && html`<progress max=${moving.size || 1} value=${moving.done} aria-label=${entry.display_name} />`}
    <${Act} class="small" onPress=${get}>${t("file.save")}<//>
  </div>`;
}
