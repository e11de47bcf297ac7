// The first minute: make an account, bring one along, and keep a backup.
import { useEffect, useRef, useState } from "preact/hooks";
import { api } from "./api.js";
import { html } from "./html.js";
import { t } from "./i18n.js";
import { Act, Field, Form, Id, Qr, save } from "./parts.js";
import { go } from "./route.js";
import { begin, choose } from "./state.js";

export function Onboarding({ onDone, onCancel }) {
  const [made, setMade] = useState(null);
  const [step, setStep] = useState(null);
  const [way, setWay] = useState("new");
  const make = async (method, params) => {
    setStep({ done: 0, total: 1 });
    try {
      setMade(await api.stream(method, params, (item) => "step" in item && setStep(item)).done);
    } finally {
      setStep(null);
    }
  };
  if (made) return html`<${Keep} account=${made} onDone=${() => choose(made.id).then(onDone)} />`;
  return html`<main class="welcome" id="main">
    <h1>${t("welcome")}</h1>
    <p>${t("welcome.text")}</p>
    <div class="choices" role="group" aria-label=${t("welcome.ways")}>
      ${["new", "backup", "device"].map(
        (each) =>
          html`<button type="button" aria-pressed=${way === each} onClick=${() => setWay(each)}>
            ${t(`welcome.${each}`)}
          </button>`,
      )}
    </div>
    ${way === "new" && html`<${NewAccount} make=${make} />`}
    ${way === "backup" && html`<${FromBackup} make=${make} />`}
    ${way === "device" && html`<${FromDevice} make=${make} onDone=${onDone} />`}
    ${onCancel && html`<p><button type="button" onClick=${onCancel}>${t("give.up")}</button></p>`}
    ${step &&
    html`<p role="status">
      ${t("working")} <progress max=${step.total || 1} value=${step.done} aria-label=${t("working")} />
    </p>`}
  </main>`;
}

const NewAccount = ({ make }) => html`<${Form}
  onSubmit=${({ name, password }) => make("account.create", { name: name.trim(), password })}
>
  <${Field} name="name" label=${t("your.name")} required maxlength="64" autocomplete="nickname" autofocus />
  <${Field}
    name="password"
    type="password"
    label=${t("password.optional")}
    hint=${t("password.hint")}
    autocomplete="new-password"
  />
  <button class="primary">${t("create")}</button>
<//>`;

function FromBackup({ make }) {
  const read = async ({ file, password }) => {
    const bytes = new Uint8Array(await file.arrayBuffer());
    const archive = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
    await make("account.import", { archive, password });
  };
  return html`<${Form} onSubmit=${read}>
    <${Field} name="file" type="file" label=${t("backup.file")} required />
    <${Field} name="password" type="password" label=${t("password.backup")} autocomplete="current-password" />
    <button class="primary">${t("bring")}</button>
  <//>`;
}

function FromDevice({ make, onDone }) {
  const [address, setAddress] = useState("");
  const [question, setQuestion] = useState(null); // the account has a password, and it is asked for
  const linking = useRef(null);
  useEffect(() => () => linking.current?.cancel(), []);
  const show = async () => {
    linking.current = api.stream("account.link", { asks: true }, (item) => {
      if (item.uri) setAddress(item.uri);
      else setQuestion(item);
    });
    try {
      const linked = await linking.current.done;
      await choose(linked.id);
    } finally {
      setAddress("");
      setQuestion(null);
    }
    onDone();
  };
  const answer = async ({ password }) => {
    setQuestion(null);
    await api.call("account.give_password", { uri: address, password });
  };
  return html`<div>
    <h2>${t("device.by.address")}</h2>
    <p>${t("device.how")}</p>
    ${!address && html`<${Act} class="primary" onPress=${show}>${t("device.show")}<//>`}
    ${address &&
    !question &&
    html`<${Qr} text=${address} label=${t("device.qr")} /><${Id} id=${address} label=${t("device.address")} />
      <p role="status">${t("device.waiting")}</p>`}
    ${question &&
    html`<${Form} onSubmit=${answer}>
      <p role="alert">${t(question.is_wrong ? "device.password.wrong" : "device.password")}</p>
      <${Field} name="password" type="password" label=${t("password.account")} autocomplete="current-password" required />
      <button class="primary">${t("go.on")}</button>
    <//>`}
    <h2>${t("device.by.pin")}</h2>
    <p>${t("device.pin.how")}</p>
    <${Form} onSubmit=${({ pin, password }) => make("account.link_pin", { pin: pin.trim(), password })}>
      <${Field} name="pin" label=${t("pin")} required autocomplete="off" />
      <${Field} name="password" type="password" label=${t("password.account.any")} autocomplete="current-password" />
      <button>${t("bring")}</button>
    <//>
  </div>`;
}

function Keep({ account, onDone }) {
  const [isKept, setKept] = useState(false);
  const keep = async () => {
    save(await api.backUp(account.id, ""));
    setKept(true);
  };
  return html`<main class="welcome" id="main">
    <h1>${t("keep", { name: account.name })}</h1>
    <p>${t("keep.id")}</p>
    <${Qr} text=${`jami:${account.id}`} label=${t("qr.own")} />
    <${Id} id=${account.id} label=${t("id")} />
    <h2>${t("backup")}</h2>
    <p>${t("backup.text")}</p>
    <${Act} onPress=${keep}>${t("backup.save")}<//>
    ${isKept && html`<p role="status">${t("backup.saved")}</p>`}
    <p>
      <button
        type="button"
        class="primary"
        onClick=${async () => {
          await begin();
          go("contacts");
          onDone();
        }}
      >
        ${isKept ? t("go.on") : t("go.on.without")}
      </button>
    </p>
  </main>`;
}
