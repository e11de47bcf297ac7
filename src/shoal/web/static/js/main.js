// Our page: signed in or not, with an account or without, and one of its pages.
import { render } from "preact";
import { useState } from "preact/hooks";
import { effect } from "@preact/signals";
import { api, isConnected, isSignedIn } from "./api.js";
import { Contacts } from "./contacts.js";
import { Conversation } from "./conversation.js";
import { Devices } from "./devices.js";
import { html } from "./html.js";
import { loadTexts, t } from "./i18n.js";
import { Network } from "./network.js";
import { Onboarding } from "./onboarding.js";
import { Notice } from "./parts.js";
import { route } from "./route.js";
import { Settings } from "./settings.js";
import { Sidebar } from "./sidebar.js";
import { account, accounts, attempt, begin, openId, unread } from "./state.js";
import { applyTheme } from "./theme.js";

const PAGES = { conversation: Conversation, contacts: Contacts, devices: Devices, network: Network, settings: Settings };

function App() {
  const [isAdding, setAdding] = useState(false);
  const [isNew, setNew] = useState(false); // the account was made just now, and its backup is offered
  if (isSignedIn.value === false) return html`<${SignedOut} />`;
  if (accounts.value === null) return html`<p class="empty" role="status">${t("connecting")}</p>`;
  if (!account.value && !isNew) setNew(true);
  if (isNew || isAdding) {
    const done = () => {
      setNew(false);
      setAdding(false);
    };
    return html`<${Onboarding} onDone=${done} onCancel=${account.value ? done : undefined} />`;
  }
  const Page = PAGES[route.value[0]];
  return html`<div class=${`layout ${Page ? "on-page" : ""}`}>
    <a class="skip" href="#main" onClick=${skip}>${t("skip")}</a>
    <${Sidebar} />
    ${Page && Page !== Conversation && html`<a class="page-back" href="#/">← ${t("back")}</a>`}
    ${Page
      ? html`<${Page} onAdd=${() => setAdding(true)} />`
      : html`<main class="page nothing" id="main" tabindex="0"><h1 class="hidden">Shoal</h1><p class="empty">${t("nothing.open")}</p></main>`}
    ${!isConnected.value && html`<p class="away" role="status">${t("away")}</p>`}
  </div>`;
}

function skip(event) {
  event.preventDefault();
  const main = document.getElementById("main");
  main.tabIndex = -1;
  main.focus();
}

const SignedOut = () => html`<main class="welcome" id="main">
  <h1>Shoal</h1>
  <p>${t("signed.out")}</p>
  <pre><code>shoal up</code></pre>
</main>`;

effect(() => {
  const count = Object.values(unread.value).reduce((sum, each) => sum + each, 0);
  document.title = count ? `(${count}) Shoal` : "Shoal";
});

// A page that is opened is where the keyboard goes on; a conversation sees to that itself.
effect(() => {
  if (route.value[0] && !openId.value) queueMicrotask(() => document.querySelector("main h1")?.scrollIntoView());
});

applyTheme();
await loadTexts();
render(html`<${App} /><${Notice} />`, document.getElementById("app"));
api.onOpen(() => attempt(begin));
await api.signIn();
