// Small parts that pages are made of.
import { useEffect, useRef, useState } from "preact/hooks";
import { api } from "./api.js";
import { html } from "./html.js";
import { t } from "./i18n.js";
import { choosing, groupPlace, personPlace, picture } from "./pictures.js";
import { account, attempt, notice, people } from "./state.js";

export function Qr({ text, label }) {
  const [address, setAddress] = useState("");
  useEffect(() => {
    let drawn = "";
    api.qr(text).then((url) => setAddress((drawn = url)));
    return () => URL.revokeObjectURL(drawn);
  }, [text]);
  return address ? html`<img class="qr" src=${address} alt=${label} />` : html`<div class="qr" />`;
}

let fields = 0;

export function Field({ label, hint, ...attributes }) {
  const id = useRef(`field-${(fields += 1)}`).current;
  return html`<div class="field">
    <label for=${id}>${label}</label>
    <input id=${id} aria-describedby=${hint ? `${id}-hint` : undefined} ...${attributes} />
    ${hint && html`<p id=${`${id}-hint`} class="hint">${hint}</p>`}
  </div>`;
}

// A button that cannot be pressed twice while it works, and says what went wrong.
export function Act({ onPress, children, ...attributes }) {
  const [isBusy, setBusy] = useState(false);
  const press = async () => {
    setBusy(true);
    await attempt(onPress);
    setBusy(false);
  };
  return html`<button type="button" ...${attributes} disabled=${isBusy || attributes.disabled} onClick=${press}>
    ${children}
  </button>`;
}

export function Form({ onSubmit, children, ...attributes }) {
  const [isBusy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    const form = event.currentTarget;
    setBusy(true);
    await attempt(() => onSubmit(Object.fromEntries(new FormData(form)), form));
    setBusy(false);
  };
  return html`<form ...${attributes} onSubmit=${submit}><fieldset disabled=${isBusy}>${children}</fieldset></form>`;
}

// What has just been done, or went wrong. A dialog has one of its own: what is behind it is out of reach.
export function Notice() {
  const told = notice.value;
  useEffect(() => {
    if (!told || told.isError) return undefined;
    const timer = setTimeout(() => (notice.value = null), 4000);
    return () => clearTimeout(timer);
  }, [told]);
  return html`<div class="notices" role=${told?.isError ? "alert" : "status"} aria-live="polite">
    ${told &&
    html`<p class=${told.isError ? "notice error" : "notice"}>
      <span>${told.text}</span>
      <button type="button" class="quiet" aria-label=${t("notice.close")} onClick=${() => (notice.value = null)}>×</button>
    </p>`}
  </div>`;
}

export function copy(text) {
  return attempt(async () => {
    await navigator.clipboard.writeText(text);
    notice.value = { text: t("copied") };
  });
}

export const Id = ({ id, label }) => html`<p class="id">
  <code>${id}</code>
  <button type="button" class="small" onClick=${() => copy(id)} aria-label=${t("copy.what", { what: label })}>
    ${t("copy")}
  </button>
</p>`;

const hue = (id) => Number.parseInt(id.slice(0, 6), 16) % 8;

// Somebody's picture, or the first letter of their name.
export const Avatar = ({ id, name, place }) => {
  const where = place ?? (people.value[id]?.has_picture && personPlace(account.value.id, id));
  const address = where && picture(where);
  return address
    ? html`<img class="avatar" src=${address} alt="" />`
    : html`<span class=${`avatar hue-${hue(id)}`} aria-hidden="true">${[...(name || "?")][0].toUpperCase()}</span>`;
};

// The picture of a conversation: of two, that of the other one.
export function Face({ conversation }) {
  const { id, mode, title, members } = conversation;
  const other = mode === "one_to_one" && members.find((each) => each.id !== account.value.id);
  if (other) return html`<${Avatar} id=${other.id} name=${title} />`;
  return html`<${Avatar} id=${id} name=${title} place=${conversation.has_picture && groupPlace(account.value.id, id)} />`;
}

// Where a picture is chosen or taken away; `give` gets it as the node takes it.
export function PictureField({ label, has, give }) {
  const [isBusy, setBusy] = useState(false);
  const chosen = async (read) => {
    setBusy(true);
    await attempt(async () => give(await read()));
    setBusy(false);
  };
  return html`<p class="buttons">
    <label class="as-button">${label}<input class="hidden" disabled=${isBusy} ...${choosing(chosen)} /></label>
    ${has && html`<${Act} onPress=${() => give("")}>${t("picture.remove")}<//>`}
  </p>`;
}

export function save({ blob, name }) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
