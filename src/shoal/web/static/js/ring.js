// The ring of the DHT: every node at the place of its id, ours on top of the line that it is, and a
// line from ours to each key that is searched for.
import { html } from "./html.js";
import { t } from "./i18n.js";

const RADIUS = 90;
const NODES_MAX = 400; // drawn at once

// Where an id stands on the ring: its first 48 bits as a turn.
function place(id, radius = RADIUS) {
  const turn = Number.parseInt(id.slice(0, 12), 16) / 2 ** 48;
  const angle = 2 * Math.PI * turn - Math.PI / 2;
  return [radius * Math.cos(angle), radius * Math.sin(angle)].map((each) => each.toFixed(2));
}

// Each key once, and whether a search for it is under way: it may be sought in both families.
function soughtIn(searches) {
  const keys = new Map();
  for (const { key, state } of searches) {
    const isOpen = state === "searching" || state === "lasting";
    keys.set(key, isOpen || keys.get(key) || false);
  }
  return [...keys].map(([key, isOpen]) => ({ key, isOpen }));
}

export function Ring({ own, nodes, searches }) {
  const [x, y] = place(own);
  const keys = soughtIn(searches);
  const label = [t("ring", { count: nodes.length }), keys.length > 0 && t("ring.keys", { count: keys.length })];
  return html`<svg class="ring" viewBox="-110 -110 220 220" role="img" aria-label=${label.filter(Boolean).join("; ")}>
    <circle r=${RADIUS} class="circle" />
    ${nodes.slice(0, NODES_MAX).map(({ id }) => {
      const [left, top] = place(id);
      return html`<g key=${id}>
        <path class="spoke" d=${`M${x} ${y}Q0 0 ${left} ${top}`} />
        <circle class="node" cx=${left} cy=${top} r="3"><title>${id}</title></circle>
      </g>`;
    })}
    ${keys.map(({ key, isOpen }) => {
      const [left, top] = place(key);
      return html`<g key=${key} class=${isOpen ? "sought" : "sought past"}>
        <path d=${`M${x} ${y}L${left} ${top}`} />
        <rect x="-3" y="-3" width="6" height="6" transform=${`translate(${left} ${top})rotate(45)`}>
          <title>${key}</title>
        </rect>
      </g>`;
    })}
    <circle class="own" cx=${x} cy=${y} r="6"><title>${own}</title></circle>
  </svg>`;
}
