// The network: the ring of the DHT, searches in it, connections with the ways they took, attempts.
import { useEffect, useState } from "preact/hooks";
import { api } from "./api.js";
import { html } from "./html.js";
import { lasted, t } from "./i18n.js";
import { Ring } from "./ring.js";
import { account, ask, attempt, nameOf } from "./state.js";

const EVERY = 3000; // milliseconds between two looks
const SEARCHES_SHOWN = 8; // the others are a click away

export function Network() {
  const [seen, setSeen] = useState(null);
  useEffect(() => {
    let isOpen = true;
    const look = async () => {
      const [nodes, connections, traces] = await Promise.all([
        api.call("node.map"),
        ask("connection.list"),
        ask("connection.traces"),
      ]);
      if (isOpen) setSeen({ nodes, connections, traces });
    };
    attempt(look);
    const timer = setInterval(() => look().catch(() => {}), EVERY);
    return () => {
      isOpen = false;
      clearInterval(timer);
    };
  }, [account.value.id]);
  if (!seen) return html`<main class="page" id="main" tabindex="0"><h1>${t("network")}</h1></main>`;
  return html`<main class="page" id="main" tabindex="0">
    <h1>${t("network")}</h1>
    ${seen.nodes.length === 0 && html`<p class="empty">${t("network.none")}</p>`}
    ${seen.nodes.map((each) => html`<${Dht} key=${each.node_id} dht=${each} />`)}
    <section aria-labelledby="connections-title">
      <h2 id="connections-title">${t("connections")}</h2>
      ${seen.connections.length === 0 && html`<p class="empty">${t("connections.none")}</p>`}
      <ul class="rows">
        ${seen.connections.map((each) => html`<${Connection} key=${each.connection} connection=${each} />`)}
      </ul>
    </section>
    <section aria-labelledby="attempts-title">
      <h2 id="attempts-title">${t("attempts")}</h2>
      <ul class="rows">
        ${seen.traces.slice(-20).reverse().map((each, index) => html`<${Attempt} key=${index} trace=${each} />`)}
      </ul>
    </section>
  </main>`;
}

const Dht = ({ dht }) => html`<section aria-labelledby=${`dht-${dht.node_id}`}>
  <h2 id=${`dht-${dht.node_id}`}>${t("dht", { network: dht.network })}</h2>
  <div class="dht">
    <${Ring} own=${dht.node_id} nodes=${dht.nodes} searches=${dht.searches} />
    <dl>
      <dt>${t("dht.status")}</dt>
      <dd><span class=${`badge ${dht.status}`}>${t(`dht.${dht.status}`)}</span></dd>
      <dt>${t("dht.nodes")}</dt>
      <dd>${dht.nodes.length}</dd>
      <dt>${t("dht.port")}</dt>
      <dd>UDP ${dht.port}</dd>
      ${Object.entries(dht.traffic).map(([name, count]) => html`<dt>${t(`traffic.${name}`)}</dt><dd>${count}</dd>`)}
    </dl>
  </div>
  <${Searches} id=${`searches-${dht.node_id}`} searches=${dht.searches} />
</section>`;

// What the node looks for: what is under way comes first, then what ended within the last minute.
function Searches({ id, searches }) {
  const rows = (some) => html`<ul class="rows" aria-labelledby=${id}>
    ${some.map((each, index) => html`<${Search} key=${index} search=${each} />`)}
  </ul>`;
  const others = searches.slice(SEARCHES_SHOWN);
  return html`<h3 id=${id}>${t("searches")}</h3>
    ${searches.length === 0 && html`<p class="empty">${t("searches.none")}</p>`}
    ${searches.length > 0 && rows(searches.slice(0, SEARCHES_SHOWN))}
    ${others.length > 0 &&
    html`<details>
      <summary>${t("searches.more", { count: others.length })}</summary>
      ${rows(others)}
    </details>`}`;
}

function Search({ search }) {
  const { asked, answered, nearest, seconds } = search;
  const facts = [
    search.purposes.map((each) => t(`search.${each}`)).join(", "),
    { ipv4: "IPv4", ipv6: "IPv6" }[search.family],
    t("search.answered", { asked, answered }),
    nearest !== null && t("search.nearest", { count: nearest }),
    lasted(seconds),
  ];
  return html`<li>
    <span class="who">
      <code title=${search.key}>${search.key.slice(0, 8)}…</code>
      <span class="hint">${facts.filter(Boolean).join(" · ")}</span>
    </span>
    <span class=${`badge search-${search.state}`}>${t(`search.${search.state}`)}</span>
  </li>`;
}

const Connection = ({ connection }) => html`<li>
  <span class="who">
    ${nameOf(connection.account)}
    <code class="hint">${connection.device.slice(0, 8)}…</code>
    <span class="hint">${Object.values(connection.channels).join(", ")}</span>
  </span>
  <${Path} trace=${connection.trace} />
</li>`;

const Attempt = ({ trace }) => html`<li>
  <span class="who"><code>${(trace.device ?? "").slice(0, 8)}…</code> <span class="hint">${trace.error ?? ""}</span></span>
  <${Path} trace=${trace} />
</li>`;

// How a connection goes: on the local network, straight, or through a relay.
function Path({ trace }) {
  const path = trace?.path ?? trace?.ice ?? null;
  const kind = path?.kind ?? (trace?.error ? "failed" : "open");
  return html`<span class=${`badge path-${kind}`}>${t(`path.${kind}`)}</span>`;
}
