// What the desktop shows when something is said while nobody looks here; for who wants it.
import { signal } from "@preact/signals";
import { t } from "./i18n.js";

const KEY = "shoal.notify";
const FRESH = 120; // seconds; what is older came with a history

export const canNotify = "Notification" in window;
export const notifies = signal(
  canNotify && localStorage.getItem(KEY) === "yes" && Notification.permission === "granted",
);

// Ask the browser, if it must be asked.
export async function setNotifies(wish) {
  const isGranted = wish && (await Notification.requestPermission()) === "granted";
  localStorage.setItem(KEY, isGranted ? "yes" : "no");
  notifies.value = isGranted;
  if (wish && !isGranted) throw new Error(t("notify.refused"));
}

export const isWorthNotice = (message) =>
  notifies.value && !document.hasFocus() && Date.now() / 1000 - message.wall_time < FRESH;

// One for each conversation: a later one takes the place of an earlier one.
export function notify(title, body, conversation) {
  const shown = new Notification(title, { body, tag: conversation, icon: "/static/icon.svg" });
  shown.onclick = () => {
    window.focus();
    location.hash = `#/conversation/${conversation}`;
    shown.close();
  };
}
