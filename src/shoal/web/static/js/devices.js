// The account's devices: add one, name this one, revoke one that was lost.
import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "./html.js";
import { clock, t } from "./i18n.js";
import { Act, Field, Form, Notice, Qr } from "./parts.js";
import { account, ask, attempt, deviceNews, notice } from "./state.js";

export function Devices() {
  const [devices, setDevices] = useState([]);
  const [pin, setPin] = useState(null);
  const [lost, setLost] = useState(null); // which is to be revoked
  const read = async () => setDevices(await ask("device.list"));
  useEffect(() => {
    attempt(read);
  }, [account.value.id, deviceNews.value]);
  const rename = async ({ name }) => {
    await ask("device.rename", { name });
    await read();
  };
  const addDevice = async ({ uri }, form) => {
    if (!confirm(t("device.hand.sure", { name: account.value.name }))) return;
    await ask("device.add", { uri: uri.trim() });
    form.reset();
    notice.value = { text: t("device.added") };
    await read();
  };
  const showPin = async ({ password }, form) => {
    setPin(await ask("device.export_pin", { password: password ?? "" }));
    form.reset();
  };
  return html`<main class="page" id="main" tabindex="0">
    <h1>${t("devices")}</h1>
    <section aria-labelledby="list-title">
      <h2 id="list-title">${t("devices.yours")}</h2>
      <ul class="rows">
        ${devices.map(
          (each) =>
            html`<li key=${each.id}>
              <span class="who">
                ${each.name || each.id.slice(0, 8)} ${each.is_this && html`<em>(${t("this.device")})</em>`}
                <code class="hint">${each.id.slice(0, 16)}…</code>
                ${each.wall_last_seen > 0 && html`<span class="hint">${clock(each.wall_last_seen)}</span>`}
              </span>
              ${!each.is_this && html`<button type="button" class="small" onClick=${() => setLost(each)}>${t("revoke")}</button>`}
            </li>`,
        )}
      </ul>
    </section>
    ${lost && html`<${Revoke} device=${lost} read=${read} onClose=${() => setLost(null)} />`}
    <section aria-labelledby="name-title">
      <h2 id="name-title">${t("device.name")}</h2>
      <${Form} onSubmit=${rename}>
        <${Field} name="name" label=${t("name")} required maxlength="64" />
        <button>${t("rename")}</button>
      <//>
    </section>
    <section aria-labelledby="link-title">
      <h2 id="link-title">${t("device.add")}</h2>
      <${Form} onSubmit=${addDevice}>
        <${Field} name="uri" label=${t("device.address")} hint=${t("device.address.hint")} required autocomplete="off" />
        <button class="primary">${t("device.hand")}</button>
      <//>
      <p>${t("device.or.pin")}</p>
      <${Form} onSubmit=${showPin}>
        ${account.value.has_password &&
        html`<${Field} name="password" type="password" label=${t("password.account")} autocomplete="current-password" />`}
        <button>${t("pin.show")}</button>
      <//>
      ${pin && html`<p role="status" class="pin"><code>${pin.text}</code></p><${Qr} text=${pin.text} label=${t("pin")} />`}
    </section>
  </main>`;
}

// A device that was lost: it may never come back, so that is asked once more.
function Revoke({ device, read, onClose }) {
  const dialog = useRef(null);
  useEffect(() => dialog.current.showModal(), []);
  const revoke = async ({ password }) => {
    await ask("device.revoke", { device: device.id, password: password ?? "" });
    dialog.current?.close();
    await read();
  };
  return html`<dialog ref=${dialog} onClose=${onClose} aria-labelledby="revoke-title">
    <h2 id="revoke-title">${device.name || device.id.slice(0, 8)}</h2>
    <p>${t("revoke.sure")}</p>
    <${Form} onSubmit=${revoke}>
      ${account.value.has_password &&
      html`<${Field} name="password" type="password" label=${t("password.account")} autocomplete="current-password" required />`}
      <p class="buttons">
        <button class="danger">${t("revoke")}</button>
        <button type="button" onClick=${() => dialog.current.close()}>${t("give.up")}</button>
      </p>
    <//>
    <${Notice} />
  </dialog>`;
}
