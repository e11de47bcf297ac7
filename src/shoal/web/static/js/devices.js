// The account's devices: add one, name this one, revoke one that was lost.
import { useEffect, useState } from "preact/hooks";
import { html } from "./html.js";
import { clock, t } from "./i18n.js";
import { Act, Field, Form, Qr } from "./parts.js";
import { account, ask, attempt, notice } from "./state.js";

export function Devices() {
  const [devices, setDevices] = useState([]);
  const [pin, setPin] = useState(null);
  const read = async () => setDevices(await ask("device.list"));
  useEffect(() => {
    attempt(read);
  }, [account.value.id]);
  const rename = async ({ name }) => {
    await ask("device.rename", { name });
    await read();
  };
  const addDevice = async ({ uri, password }, form) => {
    await ask("device.add", { uri: uri.trim(), ...(password && { password }) });
    form.reset();
    notice.value = { text: t("device.added") };
    await read();
  };
  const revoke = (device) => async () => {
    if (!confirm(t("revoke.sure"))) return;
    const password = account.value.has_password ? (prompt(t("password.account")) ?? "") : "";
    await ask("device.revoke", { device: device.id, password });
    await read();
  };
  return html`<main class="page" id="main" tabindex="0">
    <h1>${t("devices")}</h1>
    <ul class="rows">
      ${devices.map(
        (each) =>
          html`<li key=${each.id}>
            <span class="who">
              ${each.name || each.id.slice(0, 8)} ${each.is_this && html`<em>(${t("this.device")})</em>`}
              <code class="hint">${each.id.slice(0, 16)}…</code>
              ${each.wall_last_seen > 0 && html`<span class="hint">${clock(each.wall_last_seen)}</span>`}
            </span>
            ${!each.is_this && html`<${Act} class="small" onPress=${revoke(each)}>${t("revoke")}<//>`}
          </li>`,
      )}
    </ul>
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
      <${Form} onSubmit=${async ({ password }) => setPin(await ask("device.export_pin", { password }))}>
        ${account.value.has_password &&
        html`<${Field} name="password" type="password" label=${t("password.account")} autocomplete="current-password" />`}
        <button>${t("pin.show")}</button>
      <//>
      ${pin && html`<p role="status" class="pin"><code>${pin.pin}</code></p><${Qr} text=${pin.pin} label=${t("pin")} />`}
    </section>
  </main>`;
}
