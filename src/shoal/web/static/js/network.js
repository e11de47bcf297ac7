// The network: the ring of the DHT, connections with the ways they took, attempts.
import { useEffect, useState } from "preact/hooks";
import { api } from "./api.js";
import { html } from "./html.js";
import { t } from "./i18n.js";
import { Ring } from "./ring.js";
import { account, ask, attempt, nameOf } from "./state.js";

const EVERY = 3000; // milliseconds between two looks

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
    <${Ring} own=${dht.node_id} nodes=${dht.nodes} />
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
</section>`;

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
