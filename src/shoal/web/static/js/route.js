// Which page is shown: what stands behind the #, as in #/conversation/ID.
import { signal } from "@preact/signals";

const read = () => location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);

export const route = signal(read());

addEventListener("hashchange", () => {
  route.value = read();
});

export const to = (...parts) => `#/${parts.map(encodeURIComponent).join("/")}`;

export function go(...parts) {
  location.hash = to(...parts);
}
