// Settings: name, registered name, password, backup, language, colours, leaving.
import { useState } from "preact/hooks";
import { api } from "./api.js";
import { html } from "./html.js";
import { LANGUAGES, language, setLanguage, t } from "./i18n.js";
import { canNotify, notifies, setNotifies } from "./notify.js";
import { Act, Avatar, Field, Form, PictureField, save } from "./parts.js";
import { forget, personPlace } from "./pictures.js";
import { account, ask, attempt, begin, notice, people, readAccounts, readPeople } from "./state.js";
import { setTheme, theme, THEMES } from "./theme.js";

export function Settings({ onAdd }) {
  const own = account.value;
  const told = (key) => (notice.value = { text: t(key) });
  const rename = async ({ name }) => {
    await ask("account.set_profile", { name: name.trim() });
    await Promise.all([readAccounts(), readPeople()]);
    told("saved");
  };
  const show = async (picture) => {
    await ask("account.set_profile", { picture });
    await readPeople();
    forget(personPlace(own.id, own.id));
    told("saved");
  };
  const passwd = async ({ old, fresh }, form) => {
    await ask("account.passwd", { old: old ?? "", new: fresh });
    form.reset();
    await readAccounts();
    told("saved");
  };
  return html`<main class="page" id="main" tabindex="0">
    <h1>${t("settings")}</h1>
    <section aria-labelledby="profile-title">
      <h2 id="profile-title">${t("profile")}</h2>
      <p class="hint">${t("profile.text")}</p>
      <p class="big"><${Avatar} id=${own.id} name=${own.name} /></p>
      <${PictureField} label=${t("picture.choose")} has=${people.value[own.id]?.has_picture} give=${show} />
      <${Form} onSubmit=${rename}>
        <${Field} name="name" label=${t("your.name")} defaultValue=${own.name} required maxlength="64" />
        <button>${t("save")}</button>
      <//>
    </section>
    <${Name} />
    <section aria-labelledby="backup-title">
      <h2 id="backup-title">${t("backup")}</h2>
      <p>${t("backup.text")}</p>
      <${Form} onSubmit=${async ({ password }) => save(await api.backUp(own.id, password))}>
        ${own.has_password &&
        html`<${Field} name="password" type="password" label=${t("password.account")} autocomplete="current-password" />`}
        <button>${t("backup.save")}</button>
      <//>
      <h3>${t("password")}</h3>
      <${Form} onSubmit=${passwd}>
        ${own.has_password &&
        html`<${Field} name="old" type="password" label=${t("password.old")} autocomplete="current-password" />`}
        <${Field} name="fresh" type="password" label=${t("password.new")} autocomplete="new-password" />
        <button>${t("save")}</button>
      <//>
    </section>
    <section aria-labelledby="look-title">
      <h2 id="look-title">${t("look")}</h2>
      <div class="field">
        <label for="language">${t("language")}</label>
        <select id="language" value=${language()} onChange=${(event) => attempt(() => setLanguage(event.currentTarget.value))}>
          ${Object.entries(LANGUAGES).map(([code, name]) => html`<option value=${code}>${name}</option>`)}
        </select>
      </div>
      <div class="field">
        <label for="theme">${t("theme")}</label>
        <select id="theme" value=${theme()} onChange=${(event) => setTheme(event.currentTarget.value)}>
          ${THEMES.map((each) => html`<option value=${each}>${t(`theme.${each}`)}</option>`)}
        </select>
      </div>
      ${canNotify &&
      html`<label class="check">
        <input type="checkbox" checked=${notifies.value} onChange=${(event) => attempt(() => setNotifies(event.currentTarget.checked))} />
        ${t("notify")}
      </label>`}
    </section>
    <section aria-labelledby="account-title">
      <h2 id="account-title">${t("account")}</h2>
      <p class="buttons">
        <button type="button" onClick=${onAdd}>${t("account.add")}</button>
        <${Act} onPress=${() => api.signOut()}>${t("sign.out")}<//>
        <${Act} class="danger" onPress=${remove}>${t("account.remove")}<//>
      </p>
    </section>
  </main>`;
}

async function remove() {
  if (!confirm(t("account.remove.sure", { name: account.value.name }))) return;
  await ask("account.remove");
  await begin();
}

function Name() {
  const own = account.value;
  const [isBusy, setBusy] = useState(false);
  const register = async ({ name, password }) => {
    setBusy(true);
    try {
      await ask("name.register", { name: name.trim(), password: password ?? "" });
      await readAccounts();
    } finally {
      setBusy(false);
    }
  };
  const use = async ({ server }) => {
    await ask("name.use", { server: server.trim() });
    await readAccounts();
    notice.value = { text: t("saved") };
  };
  return html`<section aria-labelledby="names-title">
    <h2 id="names-title">${t("names")}</h2>
    ${own.registered_name
      ? html`<p>${t("name.own")} <strong>${own.registered_name}</strong></p>`
      : html`<${Form} onSubmit=${register}>
          <${Field} name="name" label=${t("name.wish")} hint=${t("name.hint")} required pattern="[A-Za-z0-9_\\-]{3,32}" />
          ${own.has_password &&
          html`<${Field} name="password" type="password" label=${t("password.account")} autocomplete="current-password" />`}
          <button>${t("name.register")}</button>
          ${isBusy && html`<span role="status">${t("working")}</span>`}
        <//>`}
    <${Form} onSubmit=${use}>
      <${Field} name="server" label=${t("name.server")} defaultValue=${own.name_server} />
      <button>${t("save")}</button>
    <//>
  </section>`;
}
