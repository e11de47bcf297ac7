// The journey of a message of ours: written, signed, arrived at which members, read by whom.
import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "./html.js";
import { clock, t } from "./i18n.js";
import { ask, attempt, nameOf, openId, statuses } from "./state.js";

export function Journey({ entry, onClose }) {
  const dialog = useRef(null);
  const [status, setStatus] = useState(null);
  const version = statuses.value;
  useEffect(() => dialog.current.showModal(), []);
  useEffect(() => {
    attempt(async () => {
      const [found] = await ask("conversation.statuses", { conversation: openId.value, message: entry.id });
      setStatus(found);
    });
  }, [entry.id, version]);
  const members = Object.entries(status?.members ?? {});
  return html`<dialog ref=${dialog} onClose=${onClose} aria-labelledby="journey-title">
    <h2 id="journey-title">${t("journey")}</h2>
    <ol class="journey">
      <li>${t("journey.written")} <time>${clock(entry.wall_time)}</time></li>
      <li>${t("journey.signed")} <code>${entry.id.slice(0, 12)}…</code></li>
      ${members.map(([who, state]) => html`<li key=${who}>${nameOf(who)}: <strong>${t(`journey.${state}`)}</strong></li>`)}
    </ol>
    <form method="dialog"><button class="primary" autofocus>${t("close")}</button></form>
  </dialog>`;
}
