// What stands behind a conversation: what it looks like, who is in it, and what we want of it.
import { useEffect, useRef } from "preact/hooks";
import { html } from "./html.js";
import { t } from "./i18n.js";
import { Act, Avatar, Face, Field, Form, Notice, PictureField } from "./parts.js";
import { go } from "./route.js";
import { account, ask, attempt, nameOf, notice, readConversations, readWishes, wishes } from "./state.js";

export function Details({ conversation, onClose }) {
  const dialog = useRef(null);
  useEffect(() => dialog.current.showModal(), []);
  const id = conversation.id;
  const isGroup = conversation.mode !== "one_to_one";
  const isAdmin = conversation.members.find((each) => each.id === account.value.id)?.role === "admin";
  const set = async (changes) => {
    await ask("conversation.set", { conversation: id, ...changes });
    await Promise.all([readConversations(), readWishes(id)]);
    notice.value = { text: t("saved") };
  };
  const leave = async () => {
    if (!confirm(t("leave.sure"))) return;
    await ask("conversation.leave", { conversation: id });
    go("contacts");
  };
  return html`<dialog ref=${dialog} class="details" onClose=${onClose} aria-labelledby="details-title">
    <header>
      <h2 id="details-title"><${Face} conversation=${conversation} /> ${conversation.title}</h2>
      <button type="button" class="quiet" aria-label=${t("close")} onClick=${() => dialog.current.close()}>×</button>
    </header>
    ${isGroup && isAdmin && html`<${Looks} conversation=${conversation} set=${set} />`}
    ${isGroup && !isAdmin && wishes.value[id]?.description && html`<p>${wishes.value[id].description}</p>`}
    <${Members} conversation=${conversation} isAdmin=${isGroup && isAdmin} />
    ${isGroup && html`<${Invite} id=${id} />`}
    <${Wishes} id=${id} set=${set} />
    <p><${Act} class="danger" onPress=${leave}>${t("leave")}<//></p>
    <${Notice} />
  </dialog>`;
}

function Looks({ conversation, set }) {
  const wished = wishes.value[conversation.id];
  if (!wished) return null;
  return html`<section aria-labelledby="looks-title">
    <h3 id="looks-title">${t("group.looks")}</h3>
    <${PictureField}
      label=${t("picture.group")}
      has=${conversation.has_picture}
      give=${(picture) => set({ picture })}
    />
    <${Form} onSubmit=${({ title, description }) => set({ title: title.trim(), description: description.trim() })}>
      <${Field} name="title" label=${t("group.title")} defaultValue=${wished.title} maxlength="64" />
      <${Field} name="description" label=${t("group.description")} defaultValue=${wished.description} maxlength="1000" />
      <button>${t("save")}</button>
    <//>
  </section>`;
}

function Members({ conversation, isAdmin }) {
  const shown = conversation.members.filter((each) => each.role !== "left");
  const act = (verb, who) => async () => {
    if (verb === "ban" && !confirm(t("ban.sure", { name: nameOf(who) }))) return;
    await ask(`conversation.${verb}`, { conversation: conversation.id, contact: who });
    await readConversations();
  };
  return html`<section aria-labelledby="members-title">
    <h3 id="members-title">${t("members")}</h3>
    <ul class="rows">
      ${shown.map((each) => {
        const isSelf = each.id === account.value.id;
        const verb = each.role === "banned" ? "unban" : "ban";
        return html`<li key=${each.id}>
          <${Avatar} id=${each.id} name=${nameOf(each.id)} />
          <span class="who">
            ${nameOf(each.id)} ${isSelf && html`<em>(${t("you")})</em>`}
            <span class="hint">${t(`role.${each.role}`)}</span>
          </span>
          ${isAdmin && !isSelf && html`<${Act} class="small" onPress=${act(verb, each.id)}>${t(verb)}<//>`}
        </li>`;
      })}
    </ul>
  </section>`;
}

function Invite({ id }) {
  const invite = async ({ contact }, form) => {
    await ask("conversation.invite", { conversation: id, contact: contact.trim() });
    form.reset();
    await readConversations();
  };
  return html`<section aria-labelledby="invite-title">
    <h3 id="invite-title">${t("invite")}</h3>
    <${Form} onSubmit=${invite}>
      <${Field} name="contact" label=${t("contact.who")} hint=${t("invite.whom")} required autocomplete="off" />
      <button>${t("invite")}</button>
    <//>
  </section>`;
}

// What only we see, on all of our devices.
function Wishes({ id, set }) {
  const wished = wishes.value[id];
  if (!wished) return null;
  // Shown at once: what was pressed does not jump back until the node has answered.
  const wish = (changes) => {
    wishes.value = { ...wishes.value, [id]: { ...wished, ...changes } };
    return attempt(() => set(changes).catch((error) => readWishes(id).then(() => Promise.reject(error))));
  };
  return html`<section aria-labelledby="wishes-title">
    <h3 id="wishes-title">${t("wishes")}</h3>
    <label class="check">
      <input
        type="checkbox"
        checked=${wished.is_muted}
        onChange=${(event) => wish({ is_muted: event.currentTarget.checked })}
      />
      ${t("mute")}
    </label>
    <p class="buttons">
      <label class="check">
        <input
          type="color"
          value=${wished.colour || "#0b6477"}
          onChange=${(event) => wish({ colour: event.currentTarget.value })}
        />
        ${t("colour")}
      </label>
      ${wished.colour && html`<${Act} class="small" onPress=${() => wish({ colour: "" })}>${t("colour.none")}<//>`}
    </p>
  </section>`;
}
