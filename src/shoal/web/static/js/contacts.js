// Contacts: ask somebody, answer who asks, block; begin a group.
import { html } from "./html.js";
import { t } from "./i18n.js";
import { Act, Avatar, Field, Form, Id, Qr } from "./parts.js";
import { go, to } from "./route.js";
import { account, ask, contacts, invitations, nameOf, notice, readContacts, readConversations, requests } from "./state.js";

const refresh = () => Promise.all([readContacts(), readConversations()]);

export function Contacts() {
  const isActive = (each) => !each.is_banned;
  return html`<main class="page" id="main" tabindex="0">
    <h1>${t("contacts")}</h1>
    <${Waiting} />
    <section aria-labelledby="add-title">
      <h2 id="add-title">${t("contact.add")}</h2>
      <${Form} onSubmit=${add}>
        <${Field} name="contact" label=${t("contact.who")} hint=${t("contact.who.hint")} required autocomplete="off" />
        <button class="primary">${t("contact.ask")}</button>
      <//>
    </section>
    <section aria-labelledby="list-title">
      <h2 id="list-title">${t("contacts.yours")}</h2>
      ${contacts.value.filter(isActive).length === 0 && html`<p class="empty">${t("contacts.none")}</p>`}
      <ul class="rows">
        ${contacts.value.map((each) => html`<${Contact} key=${each.id} contact=${each} />`)}
      </ul>
    </section>
    <section aria-labelledby="group-title">
      <h2 id="group-title">${t("group.begin")}</h2>
      <${Form} onSubmit=${beginGroup}>
        <${Field} name="title" label=${t("group.title")} maxlength="64" autocomplete="off" />
        <button>${t("group.begin")}</button>
      <//>
    </section>
    <section aria-labelledby="own-title">
      <h2 id="own-title">${t("own.id")}</h2>
      <p>${t("own.id.text")}</p>
      <${Qr} text=${`jami:${account.value.id}`} label=${t("qr.own")} />
      <${Id} id=${account.value.id} label=${t("id")} />
    </section>
  </main>`;
}

async function add({ contact }, form) {
  const added = await ask("contact.add", { contact: contact.trim() });
  form.reset();
  await refresh();
  notice.value = { text: t(added.devices ? "asked" : "asked.later") };
}

async function beginGroup({ title }) {
  const group = await ask("conversation.create");
  if (title.trim()) await ask("conversation.set", { conversation: group.id, title: title.trim() });
  await refresh();
  go("conversation", group.id);
}

function Contact({ contact }) {
  const act = (verb) => async () => {
    await ask(`contact.${verb}`, { contact: contact.id });
    await refresh();
  };
  const state = contact.is_banned ? "blocked" : contact.is_confirmed ? contact.presence : "asked";
  return html`<li>
    <${Avatar} id=${contact.id} name=${nameOf(contact.id)} />
    <span class="who">
      ${contact.conversation_id && !contact.is_banned
        ? html`<a href=${to("conversation", contact.conversation_id)}>${nameOf(contact.id)}</a>`
        : nameOf(contact.id)}
      <span class="hint">${t(`presence.${state}`)}</span>
    </span>
    ${contact.is_banned
      ? html`<${Act} class="small" onPress=${act("unblock")}>${t("unblock")}<//>`
      : html`<${Act} class="small" onPress=${act("block")}>${t("block")}<//>
          <${Act} class="small" onPress=${act("remove")}>${t("remove")}<//>`}
  </li>`;
}

function Waiting() {
  if (!requests.value.length && !invitations.value.length) return null;
  return html`<section aria-labelledby="waiting-title">
    <h2 id="waiting-title">${t("requests")}</h2>
    <ul class="rows">
      ${requests.value.map((each) => html`<${Request} key=${each.id} who=${each.id} />`)}
      ${invitations.value
        .filter((each) => !requests.value.some((request) => request.conversation_id === each.id))
        .map((each) => html`<${Invitation} key=${each.id} invitation=${each} />`)}
    </ul>
  </section>`;
}

function Request({ who }) {
  const answer = (verb) => async () => {
    await ask(`contact.${verb}`, { contact: who });
    await refresh();
  };
  return html`<li>
    <${Avatar} id=${who} name=${nameOf(who)} />
    <span class="who">${nameOf(who)} <code class="hint">${who}</code></span>
    <${Act} class="small primary" onPress=${answer("accept")}>${t("accept")}<//>
    <${Act} class="small" onPress=${answer("decline")}>${t("decline")}<//>
    <${Act} class="small" onPress=${answer("block")}>${t("block")}<//>
  </li>`;
}

function Invitation({ invitation }) {
  const answer = (verb) => async () => {
    await ask(`conversation.${verb}`, { conversation: invitation.id });
    await refresh();
  };
  const name = invitation.title || t("group");
  return html`<li>
    <${Avatar} id=${invitation.id} name=${name} />
    <span class="who">${t("invited", { name, by: nameOf(invitation.sender) })}</span>
    <${Act} class="small primary" onPress=${answer("accept")}>${t("accept")}<//>
    <${Act} class="small" onPress=${answer("decline")}>${t("decline")}<//>
  </li>`;
}
