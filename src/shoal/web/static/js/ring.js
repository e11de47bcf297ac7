// The ring of the DHT: every node at the place of its id, ours on top of the line that it is.
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

export function Ring({ own, nodes }) {
  const [x, y] = place(own);
  return html`<svg class="ring" viewBox="-110 -110 220 220" role="img" aria-label=${t("ring", { count: nodes.length })}>
    <circle r=${RADIUS} class="circle" />
    ${nodes.slice(0, NODES_MAX).map(({ id }) => {
      const [left, top] = place(id);
      return html`<g key=${id}>
        <path class="spoke" d=${`M${x} ${y}Q0 0 ${left} ${top}`} />
        <circle class="node" cx=${left} cy=${top} r="3"><title>${id}</title></circle>
      </g>`;
    })}
    <circle class="own" cx=${x} cy=${y} r="6"><title>${own}</title></circle>
  </svg>`;
}
